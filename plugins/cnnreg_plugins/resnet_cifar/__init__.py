"""The ResNets made for CIFAR: 3 stages, 16 to 64 channels, shortcuts without weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl

if TYPE_CHECKING:
    from torch import nn

PAPER = Paper(
    title="Deep Residual Learning for Image Recognition",
    year=2015,
    url="https://arxiv.org/abs/1512.03385",
)

SIZES = (  # depth, parameters, MACs
    (20, 269_722, 40_551_040),
    (32, 464_154, 68_862_592),
    (44, 658_586, 97_174_144),
    (56, 853_018, 125_485_696),
    (110, 1_727_962, 252_887_680),
)


def build(options: ModelOptions, *, depth: int) -> nn.Module:
    from .model import resnet_cifar

    return resnet_cifar(options, depth=depth)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name=f"resnet{depth}",
            family="resnet_cifar",
            summary=f"The paper's {depth}-layer residual network for CIFAR's 32x32 images.",
            build=partial(build, depth=depth),
            parameters=parameters,
            macs=macs,
            num_classes=10,
            input_shape=(3, 32, 32),
            min_size=4,
            paper=PAPER,
            licence="Apache-2.0",
            tags=("residual", "small"),
        )
        for depth, parameters, macs in SIZES
    ]
