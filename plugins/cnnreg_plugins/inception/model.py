"""torchvision's GoogLeNet and Inception v3, with stems that also take small images.

Its GoogLeNet, whose weights are published, is not the paper's in three things: 3x3 convolutions
stand where table 1 has 5x5, batch norm follows each, and the auxiliary heads are left out.

Both are built with `init_weights=False`, torchvision's announced default: the
truncated normals of old take seconds and batch norm makes them unnecessary.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torchvision.models.googlenet import BasicConv2d, GoogLeNet
from torchvision.models.inception import (
    Inception3,
    InceptionA,
    InceptionAux,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
)

from cnnreg import ModelOptions


def googlenet(options: ModelOptions) -> nn.Module:
    """Without the auxiliary heads, as torchvision counts it."""
    model: nn.Module = GoogLeNet(
        num_classes=options.num_classes,
        aux_logits=False,
        init_weights=False,
        dropout=0.4 if options.dropout is None else options.dropout,  # section 5 of the paper
    )
    if options.form == "small":
        model.conv1 = BasicConv2d(options.in_channels, 64, kernel_size=3, padding=1)
        model.maxpool1 = nn.Identity()
    else:
        model.conv1 = BasicConv2d(options.in_channels, 64, kernel_size=7, stride=2, padding=3)
    return model


class AuxiliaryHead(InceptionAux):  # type: ignore[misc]  # torchvision has no types here
    """The paper's head, whose kernels need a 17x17 map, on a map of any size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = super().forward(functional.adaptive_avg_pool2d(x, 17))
        return logits


class InceptionV3(Inception3):  # type: ignore[misc]  # torchvision has no types here
    """Gives (logits, auxiliary logits) in training as a plain tuple."""

    def eager_outputs(self, x: torch.Tensor, aux: torch.Tensor | None) -> Any:
        return x if aux is None else (x, aux)


def inception_v3(options: ModelOptions) -> nn.Module:
    small = options.form == "small"
    blocks = [
        BasicConv2d,
        InceptionA,
        InceptionB,
        InceptionC,
        InceptionD,
        InceptionE,
        AuxiliaryHead,
    ]
    model: nn.Module = InceptionV3(
        num_classes=options.num_classes,
        aux_logits=not small,
        inception_blocks=blocks,
        init_weights=False,
        dropout=0.5 if options.dropout is None else options.dropout,
    )
    first = {"stride": 1, "padding": 1} if small else {"stride": 2}
    model.Conv2d_1a_3x3 = BasicConv2d(options.in_channels, 32, kernel_size=3, **first)
    if small:
        model.Conv2d_2a_3x3 = BasicConv2d(32, 32, kernel_size=3, padding=1)
        model.Conv2d_4a_3x3 = BasicConv2d(80, 192, kernel_size=3, padding=1)
        model.maxpool1 = nn.Identity()
    return model
