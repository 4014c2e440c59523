"""DenseNet: every layer reads the output of all layers before it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl
from cnnreg_plugins.pretrained import published

if TYPE_CHECKING:
    from torch import nn

PAPER = Paper(
    title="Densely Connected Convolutional Networks",
    year=2016,
    url="https://arxiv.org/abs/1608.06993",
)

SIZES = (  # depth, parameters, MACs
    (121, 7_978_856, 2_834_161_664),
    (161, 28_681_000, 7_727_907_072),
    (169, 14_149_480, 3_359_843_328),
    (201, 20_013_928, 4_291_365_888),
)

OLD_NAMES = ((r"(denselayer\d+\.(?:norm|conv))\.", r"\1"),)
"""The published files name `norm.1` and `conv.1` what torchvision now names `norm1` and `conv1`."""


def build(options: ModelOptions, *, depth: int) -> nn.Module:
    from .model import densenet

    return densenet(options, depth=depth)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name=f"densenet{depth}",
            family="densenet",
            summary=f"{depth} layers in four blocks, each layer fed by all those before it.",
            build=partial(build, depth=depth),
            parameters=parameters,
            macs=macs,
            min_size=8,
            small_form="3x3 stem with stride 1, no max-pool",
            paper=PAPER,
            pretrained=published(f"DenseNet{depth}_Weights.IMAGENET1K_V1"),
            renames=OLD_NAMES,
            licence="BSD-3-Clause",
            tags=("classic", "dense"),
        )
        for depth, parameters, macs in SIZES
    ]
