"""The network of the CIFAR-10 speed records: most accuracy for the fewest operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, hookimpl

if TYPE_CHECKING:
    from torch import nn

PAPER = Paper(
    title="94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
    year=2024,
    url="https://arxiv.org/abs/2404.00498",
)


def build(options: ModelOptions) -> nn.Module:
    from .model import airbench

    return airbench(options, widths=(64, 256, 256))


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="airbench94",
            family="airbench",
            summary="The network of CIFAR-10's speed records: most accuracy in fewest minutes.",
            build=build,
            parameters=1_972_480,
            macs=118_008_976,
            num_classes=10,
            input_shape=(3, 32, 32),
            min_size=16,
            paper=PAPER,
            licence="Apache-2.0",
            tags=("small", "fast"),
        )
    ]
