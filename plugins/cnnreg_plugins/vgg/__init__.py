"""VGG: nothing but 3x3 convolutions, stacked ever deeper."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, Recipe, hookimpl
from cnnreg_plugins.pretrained import published

if TYPE_CHECKING:
    from torch import nn

PAPER = Paper(
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    year=2014,
    url="https://arxiv.org/abs/1409.1556",
)

SIZES = (  # depth, parameters, parameters with batch norm, MACs
    (11, 132_863_336, 132_868_840, 7_609_090_048),
    (13, 133_047_848, 133_053_736, 11_308_466_176),
    (16, 138_357_544, 138_365_992, 15_470_264_320),
    (19, 143_667_240, 143_678_248, 19_632_062_464),
)


def build(options: ModelOptions, *, depth: int, batch_norm: bool) -> nn.Module:
    from .model import vgg

    return vgg(options, depth=depth, batch_norm=batch_norm)


def spec(depth: int, parameters: int, macs: int, *, batch_norm: bool) -> ArchitectureSpec:
    with_norm = ", each followed by batch norm" if batch_norm else ""
    return ArchitectureSpec(
        name=f"vgg{depth}_bn" if batch_norm else f"vgg{depth}",
        family="vgg",
        summary=f"A plain stack of {depth - 3} 3x3 convolutions{with_norm}, and 3 linear layers.",
        build=partial(build, depth=depth, batch_norm=batch_norm),
        parameters=parameters,
        macs=macs,
        min_size=16,
        small_form="global pool and one 512-wide linear layer for the 4096-wide head",
        paper=PAPER,
        pretrained=published(f"VGG{depth}{'_BN' if batch_norm else ''}_Weights.IMAGENET1K_V1"),
        licence="BSD-3-Clause",
        recipe=Recipe() if batch_norm else Recipe(learning_rate=3e-4),  # without it more stalls
        tags=("classic", "large"),
    )


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    plain = [spec(depth, count, macs, batch_norm=False) for depth, count, _, macs in SIZES]
    normed = [spec(depth, count, macs, batch_norm=True) for depth, _, count, macs in SIZES]
    return plain + normed
