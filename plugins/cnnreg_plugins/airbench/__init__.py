"""The network of the CIFAR-10 speed records: most accuracy for the fewest operations."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cnnreg import ArchitectureSpec, ModelOptions, Paper, Recipe, hookimpl

if TYPE_CHECKING:
    from torch import nn

PAPER = Paper(
    title="94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
    year=2024,
    url="https://arxiv.org/abs/2404.00498",
)


# Growing images, so that twelve epochs cost as much as nine.
PICTURES = Recipe(
    epochs=12,
    batch_size=512,
    optimizer="muon",
    learning_rate=0.014,
    momentum=0.6,
    weight_decay=0.5,
    schedule="linear",
    warmup=2.0,
    label_smoothing=0.1,
    shift=0.0625,
    start_size=0.6,
    ema=0.99,
    patience=0,
)
# A lower rate, as the record's script for these widths has it, and erasures: so many weights
# learn the training images by heart.
WIDER = replace(PICTURES, learning_rate=0.012, erasing=0.25)
# Eight epochs of shifted digits end above 99.5 % on MNIST.
DIGITS = Recipe(
    epochs=8,
    batch_size=128,
    learning_rate=0.003,
    schedule="one-cycle",
    label_smoothing=0.05,
    ema=0.995,
    patience=0,
)
spec = partial(
    ArchitectureSpec,
    family="airbench",
    num_classes=10,
    min_size=16,
    paper=PAPER,
    licence="Apache-2.0",
)


def build(options: ModelOptions, *, widths: tuple[int, int, int]) -> nn.Module:
    from .model import airbench

    return airbench(options, widths=widths)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    return [
        spec(
            name="airbench94",
            summary="The network of CIFAR-10's speed records: most accuracy in fewest minutes.",
            build=partial(build, widths=(64, 256, 256)),
            parameters=1_972_480,
            macs=118_008_976,
            input_shape=(3, 32, 32),
            recipe=PICTURES,
            tags=("small", "fast"),
        ),
        spec(
            name="airbench95",
            summary="airbench94 with 128, 384 and 384 channels: more accuracy in more minutes.",
            build=partial(build, widths=(128, 384, 384)),
            parameters=4_606_208,
            macs=301_422_480,
            input_shape=(3, 32, 32),
            recipe=WIDER,
            tags=("small",),
        ),
        spec(
            name="airbench_mini",
            summary="airbench94 with 16, 32 and 64 channels, for handwritten digits.",
            build=partial(build, widths=(16, 32, 64)),
            parameters=73_664,
            macs=3_347_344,
            input_shape=(1, 28, 28),
            recipe=DIGITS,
            tags=("small", "fast"),
        ),
    ]
