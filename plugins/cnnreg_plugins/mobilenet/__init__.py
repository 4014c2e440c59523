"""MobileNet v1 and v2: depthwise separable convolutions for phones."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl
from cnnreg_plugins.pretrained import published

if TYPE_CHECKING:
    from torch import nn

V1 = Paper(
    title="MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    year=2017,
    url="https://arxiv.org/abs/1704.04861",
)
V2 = Paper(
    title="MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    year=2018,
    url="https://arxiv.org/abs/1801.04381",
)
spec = partial(
    ArchitectureSpec,
    family="mobilenet",
    min_size=8,
    small_form="stem and first strided block with stride 1",
    tags=("efficient", "small"),
)

WIDTHS = (  # name, width multiplier, parameters, MACs
    ("mobilenet_v1", 1.0, 4_231_976, 568_740_352),
    ("mobilenet_v1_x0_75", 0.75, 2_585_560, 325_400_448),
    ("mobilenet_v1_x0_5", 0.5, 1_331_592, 149_497_088),
    ("mobilenet_v1_x0_25", 0.25, 470_072, 41_030_272),
)


def build_v1(options: ModelOptions, *, width: float) -> nn.Module:
    from .model import mobilenet_v1

    return mobilenet_v1(options, width=width)


def build_v2(options: ModelOptions) -> nn.Module:
    from .model import mobilenet_v2

    return mobilenet_v2(options)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    v1 = [
        spec(
            name=name,
            summary=f"3x3 convolutions per channel, then 1x1 across channels; width x{width}.",
            build=partial(build_v1, width=width),
            parameters=parameters,
            macs=macs,
            paper=V1,
            licence="Apache-2.0",
        )
        for name, width, parameters, macs in WIDTHS
    ]
    v2 = spec(
        name="mobilenet_v2",
        summary="Blocks that widen, convolve per channel, and narrow again without a ReLU.",
        build=build_v2,
        parameters=3_504_872,
        macs=300_774_272,
        paper=V2,
        pretrained=published("MobileNet_V2_Weights.IMAGENET1K_V1"),
        licence="BSD-3-Clause",
    )
    return [*v1, v2]
