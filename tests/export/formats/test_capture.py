from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cnnreg import ExportRequest, GateError
from cnnreg.registry import Registry


@torch.library.custom_op("cnnreg_tests::mirror", mutates_args=())
def mirror(images: Tensor) -> Tensor:
    return images.flip(-1)


@mirror.register_fake
def _(images: Tensor) -> Tensor:
    return torch.empty_like(images)


class Branching(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features if features.sum() > 0 else -features


class FixedBatch(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.reshape(len(features), -1)[:, :4, None, None]


class Mirror(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        mirrored: Tensor = mirror(features)
        return mirrored


def around(layer: nn.Module) -> nn.Module:
    middle = nn.Sequential(nn.ReLU(), layer)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))
    return nn.Sequential(nn.Conv2d(3, 4, 3), middle, head).eval()


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Branching(), ["layer '1.1' (Branching)", "branches on the values", "torch.where"]),
        (FixedBatch(), ["layer '1.1' (FixedBatch)", "fixes the number of images", "x.shape[0]"]),
        (Mirror(), ["cnnreg_tests.mirror.default", "layer '1.1' (Mirror)"]),
    ],
    ids=["branch", "batch", "operator"],
)
def test_what_a_format_cannot_hold_is_refused_by_name(
    registry: Registry,
    request_for: Callable[..., ExportRequest],
    format_name: str,
    layer: nn.Module,
    said: list[str],
) -> None:
    request = request_for(around(layer))
    with pytest.raises(GateError) as caught:
        registry.exporters[format_name].write(request)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.hint
    assert caught.value.__cause__ is not None
    for words in said:
        assert words in message
    assert list(request.folder.iterdir()) == []


def test_a_bug_in_the_network_names_its_layer(
    registry: Registry, request_for: Callable[..., ExportRequest]
) -> None:
    with pytest.raises(GateError, match=r"layer '1\.1' \(Conv2d\)"):
        registry.exporters["onnx"].write(request_for(around(nn.Conv2d(5, 4, 1))))
