"""Rounding as int8 does, in float: what each layer loses by it, and training that allows for it.

Weights are rounded symmetrically for each output channel, a layer's input asymmetrically as
a whole, between the extremes seen on sample images. Gradients pass as if nothing were rounded
(Jacob et al. 2017, https://arxiv.org/abs/1712.05877).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import (
    is_parametrized,
    register_parametrization,
    remove_parametrizations,
)

from cnnreg.networks.inference import BATCH

Range = tuple[float, float]
"""The smallest and the largest value of a layer's input, 0 included."""

LAYERS = (nn.Conv2d, nn.Linear)
PARAMETRISED = ".parametrizations.weight.original"


@torch.no_grad()
def input_ranges(model: nn.Module, images: Tensor) -> dict[str, Range]:
    """Of the convolutions and linear layers that run, in evaluation mode, by name."""
    ranges = dict[str, Range]()

    def watch(name: str) -> Any:
        def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(inputs[0].min())), max(high, float(inputs[0].max()))

        return look

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if isinstance(module, LAYERS) and not is_parametrized(module):
                hooks.callback(module.register_forward_pre_hook(watch(name)).remove)
        for some in torch.split(images, BATCH):
            model(some)
    return ranges


@contextmanager
def fake_quantised(model: nn.Module, ranges: Mapping[str, Range]) -> Iterator[None]:
    """The named layers round their weights and their input; on leaving they no longer do."""
    with ExitStack() as changes:
        for name, limits in ranges.items():
            layer = model.get_submodule(name)
            changes.callback(layer.register_forward_pre_hook(_RoundedInput(limits)).remove)
            register_parametrization(layer, "weight", _RoundedWeight())
            changes.callback(remove_parametrizations, layer, "weight", leave_parametrized=False)
        yield


def plain_weights(model: nn.Module, rounded: Iterable[str]) -> dict[str, Tensor]:
    """A copy of the state of a network whose layers `rounded` are so, with its usual names."""
    usual = {f"{layer}{PARAMETRISED}": f"{layer}.weight" for layer in rounded}
    return {
        usual.get(name, name): tensor.detach().to("cpu", copy=True)
        for name, tensor in model.state_dict().items()
    }


@torch.no_grad()
def layer_errors(model: nn.Module, images: Tensor) -> Iterator[tuple[str, float]]:
    """Each layer and the mean error of the logits that rounding it alone causes."""
    ranges, wanted = input_ranges(model, images), model(images)
    for name, limits in ranges.items():
        with fake_quantised(model, {name: limits}):
            error = float((model(images) - wanted).abs().mean())
        yield name, error


class _RoundedWeight(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        largest = weight.detach().flatten(1).abs().amax(1)
        scale = largest.clamp(min=1e-12).float() / 127
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


class _RoundedInput:
    def __init__(self, limits: Range) -> None:
        low, high = limits
        self.scale = max(high - low, 1e-12) / 255
        self.zero = round(-low / self.scale)

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        rounded = torch.fake_quantize_per_tensor_affine(inputs[0], self.scale, self.zero, 0, 255)
        return (rounded, *inputs[1:])
