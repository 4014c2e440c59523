"""The input of engines that take numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnreg import ModelContract, ModelFileError
from cnnreg.images import normalise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnreg.specs import Pixels


class ImageInput:
    """What the contract of a model says of its input and output."""

    def __init__(self, contract: ModelContract) -> None:
        self.contract = contract

    def prepare(self, images: Pixels) -> NDArray[np.float32]:
        """Resized images [N, H, W, C] as normalised [N, C, H, W]."""
        return normalise(images, self.contract.mean, self.contract.std)

    def check_fit(
        self, path: Path, inputs: Sequence[Sequence[Any]], outputs: Sequence[Sequence[Any]]
    ) -> None:
        """Compare the network's shapes [N, ...] with the contract's. Raises ModelFileError."""
        found = [[list(shape[1:]) for shape in shapes] for shapes in (inputs, outputs)]
        expected = [[list(self.contract.input_shape)], [[self.contract.num_classes]]]
        if found != expected:
            raise ModelFileError(
                f"The network maps {found[0]} to {found[1]}, its contract {expected[0]} to "
                f"{expected[1]}.",
                where=path,
                hint="Export the run again.",
            )
