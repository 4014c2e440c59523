"""Wide residual networks: fewer layers with more channels train faster and do as well."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl
from cnnreg_plugins.pretrained import published

if TYPE_CHECKING:
    from torch import nn

PAPER = Paper(
    title="Wide Residual Networks",
    year=2016,
    url="https://arxiv.org/abs/1605.07146",
)

IMAGENET = ((50, 68_883_240, 11_398_021_120), (101, 126_886_696, 22_753_050_624))
CIFAR = ((16, 4, 2_748_890, 392_612_352), (28, 10, 36_479_194, 5_243_328_768))


def build_imagenet(options: ModelOptions, *, depth: int) -> nn.Module:
    from cnnreg_plugins.resnet.model import resnet

    return resnet(options, depth=depth, width_per_group=128)


def build_cifar(options: ModelOptions, *, depth: int, width: int) -> nn.Module:
    from .model import wrn

    return wrn(options, depth=depth, width=width)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    imagenet = [
        ArchitectureSpec(
            name=f"wide_resnet{depth}_2",
            family="wide_resnet",
            summary=f"ResNet-{depth} with twice the channels in every 3x3 convolution.",
            build=partial(build_imagenet, depth=depth),
            parameters=parameters,
            macs=macs,
            min_size=8,
            small_form="3x3 stem with stride 1, no max-pool",
            paper=PAPER,
            pretrained=published(f"Wide_ResNet{depth}_2_Weights.IMAGENET1K_V1"),
            licence="BSD-3-Clause",
            tags=("residual", "large"),
        )
        for depth, parameters, macs in IMAGENET
    ]
    cifar = [
        ArchitectureSpec(
            name=f"wrn_{depth}_{width}",
            family="wide_resnet",
            summary=f"WRN-{depth}-{width}: {depth} layers, {width} times a CIFAR ResNet's width.",
            build=partial(build_cifar, depth=depth, width=width),
            parameters=parameters,
            macs=macs,
            num_classes=10,
            input_shape=(3, 32, 32),
            min_size=4,
            paper=PAPER,
            licence="Apache-2.0",
            tags=("residual",),
        )
        for depth, width, parameters, macs in CIFAR
    ]
    return imagenet + cifar
