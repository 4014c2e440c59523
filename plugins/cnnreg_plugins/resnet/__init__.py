"""ResNet for ImageNet: blocks that add to their input, so depth no longer hurts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl
from cnnreg_plugins.pretrained import published

if TYPE_CHECKING:
    from torch import nn

PAPER = Paper(
    title="Deep Residual Learning for Image Recognition",
    year=2015,
    url="https://arxiv.org/abs/1512.03385",
)

SIZES = (  # depth, parameters, MACs
    (18, 11_689_512, 1_814_073_344),
    (34, 21_797_672, 3_663_761_408),
    (50, 25_557_032, 4_089_184_256),
    (101, 44_549_160, 7_801_405_440),
    (152, 60_192_808, 11_513_626_624),
)


def build(options: ModelOptions, *, depth: int) -> nn.Module:
    from .model import resnet

    return resnet(options, depth=depth)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name=f"resnet{depth}",
            family="resnet",
            summary=f"{depth} layers in residual blocks: each learns what to add to its input."
            + (" v1.5: strides are in the 3x3 convolutions." if depth >= 50 else ""),
            build=partial(build, depth=depth),
            parameters=parameters,
            macs=macs,
            min_size=8,
            small_form="3x3 stem with stride 1, no max-pool",
            paper=PAPER,
            pretrained=published(f"ResNet{depth}_Weights.IMAGENET1K_V1"),
            licence="BSD-3-Clause",
            tags=("classic", "residual"),
        )
        for depth, parameters, macs in SIZES
    ]
