"""Which parameters decay, which learn at what share of the rate, and which not yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from cnnreg.networks.weightless import built_weightless
from cnnreg.recipe import Recipe
from cnnreg.specs import ArchitectureSpec, ModelOptions

RATE_SHARE = "rate_share"  # key of a parameter group: its part of the learning rate


def head_of(architecture: ArchitectureSpec, options: ModelOptions) -> frozenset[str]:
    """Names of the parameters that depend on the number of classes.

    Found by building the network twice, without memory for it, for any architecture.
    """
    more = replace(options, num_classes=options.num_classes + 1)
    shapes, others = (
        {name: value.shape for name, value in built.named_parameters()}
        for wanted in (options, more)
        for built in [built_weightless(partial(architecture.build, wanted))]
    )
    return frozenset(name for name, shape in shapes.items() if shape != others.get(name))


def body_of(model: nn.Module, head: frozenset[str]) -> list[nn.Parameter]:
    """What a recipe may freeze: all but the head and what the network itself keeps fixed."""
    named = model.named_parameters()
    return [value for name, value in named if name not in head and value.requires_grad]


def parameter_groups(
    model: nn.Module, recipe: Recipe, head: frozenset[str]
) -> list[dict[str, Any]]:
    """Groups for a torch optimizer, of named parameters.

    Norms and biases, which have one dimension, do not decay (He et al. 2018,
    https://arxiv.org/abs/1812.01187). With `body_rate` under 1 the first half of the
    body gets that share of the rate, the second half its root, and the head all of it.
    A frozen body is in groups of its own: fused kernels want a group's momenta to begin
    at one and the same step.
    """
    body = [name for name, _ in model.named_parameters() if name not in head]
    early = frozenset(body[: len(body) // 2])
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        exponent = 0.0 if name in head else 1.0 if name in early else 0.5
        share = recipe.body_rate**exponent if recipe.body_rate < 1 else 1.0
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault(
            (share, decay, bool(recipe.freeze) and name in head),
            {"params": [], "weight_decay": decay, RATE_SHARE: share},
        )
        group["params"].append((name, parameter))
    return list(groups.values())


def set_training(model: nn.Module, body: Iterable[nn.Parameter], *, frozen: bool) -> None:
    """Training mode; `frozen` keeps the body, and the statistics of its norms, as they are.

    Dropout inside what is frozen is off with it; the dropout before the head is the head's.
    """
    model.train()
    for parameter in body:
        parameter.requires_grad_(not frozen)
    for module in model.modules():
        own: list[Tensor] = [*module.parameters()]
        own = own or [*module.buffers()]
        if frozen and own and not any(tensor.requires_grad for tensor in own):
            module.train(False)
