"""Feature pyramids on a ResNet, here for classification: small and large things count alike."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl

if TYPE_CHECKING:
    from torch import nn

PAPER = Paper(
    title="Feature Pyramid Networks for Object Detection",
    year=2016,
    url="https://arxiv.org/abs/1612.03144",
)

SIZES = (  # depth of the ResNet, parameters, MACs
    (18, 14_810_664, 4_367_540_224),
    (50, 27_879_464, 6_930_128_896),
)


def build(options: ModelOptions, *, depth: int) -> nn.Module:
    from .model import FPNClassifier

    return FPNClassifier(options, depth=depth)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name=f"fpn_resnet{depth}",
            family="fpn",
            summary=f"A feature pyramid on ResNet-{depth}; all four scales are pooled and joined.",
            build=partial(build, depth=depth),
            parameters=parameters,
            macs=macs,
            min_size=8,
            small_form="3x3 stem with stride 1, no max-pool",
            paper=PAPER,
            licence="BSD-3-Clause",
            tags=("residual", "multi-scale"),
        )
        for depth, parameters, macs in SIZES
    ]
