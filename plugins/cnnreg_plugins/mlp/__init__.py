"""A 784-300-100 perceptron: what a network without convolutions reaches (section III.C)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl

if TYPE_CHECKING:
    from torch import nn

PAPER = Paper(
    title="Gradient-Based Learning Applied to Document Recognition",
    year=1998,
    url="http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf",
)


def build(options: ModelOptions) -> nn.Module:
    from .model import mlp

    return mlp(options)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="mlp",
            family="mlp",
            summary="Three linear layers on the raw pixels: the baseline every CNN should beat.",
            build=build,
            parameters=266_610,
            macs=266_200,
            num_classes=10,
            input_shape=(1, 28, 28),
            min_size=1,
            paper=PAPER,
            licence="Apache-2.0",
            tags=("baseline", "small"),
        )
    ]
