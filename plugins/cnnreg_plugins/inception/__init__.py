"""GoogLeNet and Inception v3: several kernel sizes side by side in every block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl
from cnnreg_plugins.pretrained import published

if TYPE_CHECKING:
    from torch import nn

GOING_DEEPER = Paper(
    title="Going Deeper with Convolutions",
    year=2014,
    url="https://arxiv.org/abs/1409.4842",
)
RETHINKING = Paper(
    title="Rethinking the Inception Architecture for Computer Vision",
    year=2015,
    url="https://arxiv.org/abs/1512.00567",
)

HALF = (0.5, 0.5, 0.5)
"""Mean and deviation of both weights, to which torchvision turns images of ImageNet's."""


def build_googlenet(options: ModelOptions) -> nn.Module:
    from .model import googlenet

    return googlenet(options)


def build_inception_v3(options: ModelOptions) -> nn.Module:
    from .model import inception_v3

    return inception_v3(options)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    googlenet = ArchitectureSpec(
        name="googlenet",
        family="inception",
        summary="Nine blocks of parallel branches, ImageNet's winner of 2014; as in torchvision "
        "with 3x3 for the paper's 5x5, with batch norm and without auxiliary heads.",
        build=build_googlenet,
        parameters=6_624_904,
        macs=1_498_376_192,
        min_size=8,
        small_form="3x3 stem with stride 1, first max-pool left out",
        paper=GOING_DEEPER,
        pretrained=published("GoogLeNet_Weights.IMAGENET1K_V1"),
        pretrained_mean=HALF,
        pretrained_std=HALF,
        licence="BSD-3-Clause",
        tags=("classic", "multi-branch"),
    )
    inception_v3 = ArchitectureSpec(
        name="inception_v3",
        family="inception",
        summary="Inception with its large kernels factorised into 3x3, 1x7 and 7x1 ones.",
        build=build_inception_v3,
        parameters=27_161_264,
        macs=5_713_216_096,
        input_shape=(3, 299, 299),
        min_size=15,
        small_form="padded stem with stride 1, first max-pool and auxiliary head left out",
        small_below=75,  # what the unpadded convolutions of the standard form need
        aux_weight=0.4,
        paper=RETHINKING,
        pretrained=published("Inception_V3_Weights.IMAGENET1K_V1"),
        pretrained_mean=HALF,
        pretrained_std=HALF,
        licence="BSD-3-Clause",
        tags=("classic", "multi-branch"),
    )
    return [googlenet, inception_v3]
