"""ShuffleNet v1 and v2: cheap convolutions, and shuffled channels to join them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl
from cnnreg_plugins.pretrained import published

if TYPE_CHECKING:
    from torch import nn

V1 = Paper(
    title="ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
    year=2017,
    url="https://arxiv.org/abs/1707.01083",
)
V2 = Paper(
    title="ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
    year=2018,
    url="https://arxiv.org/abs/1807.11164",
)
spec = partial(
    ArchitectureSpec,
    family="shufflenet",
    min_size=8,
    small_form="3x3 stem with stride 1, no max-pool",
    tags=("efficient", "small"),
)

WIDTHS = (  # torchvision's name, width, parameters, MACs
    ("ShuffleNet_V2_X0_5", 0.5, 1_366_792, 40_476_448),
    ("ShuffleNet_V2_X1_0", 1.0, 2_278_604, 144_907_992),
    ("ShuffleNet_V2_X1_5", 1.5, 3_503_624, 295_759_392),
    ("ShuffleNet_V2_X2_0", 2.0, 7_393_996, 583_253_464),
)


def build_v1(options: ModelOptions) -> nn.Module:
    from .model import shufflenet_v1

    return shufflenet_v1(options)


def build_v2(options: ModelOptions, *, width: float) -> nn.Module:
    from .model import shufflenet_v2

    return shufflenet_v2(options, width=width)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    v1 = spec(
        name="shufflenet_v1",
        summary="1x1 convolutions in 3 groups, whose channels are shuffled between them.",
        build=build_v1,
        parameters=1_865_728,
        macs=137_460_672,
        paper=V1,
        licence="Apache-2.0",
    )
    v2 = [
        spec(
            name=torchvision_name.lower(),
            summary=f"Half of the channels pass by, half are convolved, then shuffled; x{width}.",
            build=partial(build_v2, width=width),
            parameters=parameters,
            macs=macs,
            paper=V2,
            pretrained=published(f"{torchvision_name}_Weights.IMAGENET1K_V1"),
            licence="BSD-3-Clause",
        )
        for torchvision_name, width, parameters, macs in WIDTHS
    ]
    return [v1, *v2]
