"""The two-convolution network that a first course on deep learning ends with.

The paper's LeNet-5 is its model, not this: it has 6 and 16 filters of 5x5, and no ReLU.
"""

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
    from .model import simple_cnn

    return simple_cnn(options)


@hookimpl
def cnnreg_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="simple_cnn",
            family="simple_cnn",
            summary="Two convolutions with pooling, then two linear layers: the first CNN to try.",
            build=build,
            parameters=421_642,
            macs=4_241_152,
            num_classes=10,
            input_shape=(1, 28, 28),
            min_size=4,
            paper=PAPER,
            licence="Apache-2.0",
            tags=("baseline", "small"),
        )
    ]
