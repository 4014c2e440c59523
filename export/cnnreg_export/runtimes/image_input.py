"""What goes into an engine that takes numpy arrays, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnreg import ModelFile, ModelFileError
from cnnreg.images import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnnreg.specs import Logits, Pixels


class ImageInput:
    """What a model's contract and interface say of its input and output."""

    def __init__(self, model: ModelFile) -> None:
        self.contract, self.interface = model.contract, model.interface
        self.one_by_one = model.interface.fixed

    def prepare(self, images: Pixels) -> NDArray[Any]:
        """Resized images [N, H, W, C] as the file takes them."""
        if self.interface.embed:
            return np.ascontiguousarray(np.broadcast_to(images, (*images.shape[:3], 3)))
        return normalise(images, self.contract.mean, self.contract.std)

    def infer(self, inputs: NDArray[Any]) -> Logits:
        """Run the network once; where it takes one image at a time, once for each."""
        if not self.one_by_one or len(inputs) == 1:
            return self.run(inputs)
        return np.concatenate([self.run(one) for one in np.split(inputs, len(inputs))])

    def run(self, inputs: NDArray[Any]) -> Logits:
        """The logits [N, classes], an engine's last output."""
        raise NotImplementedError

    def fixed_shape(self, batch: int) -> list[int]:
        """The input for so many images of the network's own size."""
        _, height, width = shape = self.contract.input_shape
        return [batch, height, width, 3] if self.interface.embed else [batch, *shape]

    def check_fit(
        self,
        path: Path,
        inputs: Sequence[Sequence[Any]],
        outputs: Sequence[Sequence[Any]],
        *,
        sized: bool = False,
    ) -> None:
        """Compare the network's shapes [N, ...] with the contract's. Raises ModelFileError.

        `sized` says that dimensions which the file leaves open have been given their size.
        """
        found = [[_sizes(shape) for shape in shapes] for shapes in (inputs, outputs)]
        size = self.fixed_shape(1)[1:]
        if self.interface.embed and not (self.interface.fixed or sized):
            size = [0, 0, 3]
        expected = [[size], [[self.contract.num_classes]] * (1 + self.interface.embed)]
        if found != expected:
            raise ModelFileError(
                f"The network maps {found[0]} to {found[1]}, its contract {expected[0]} to "
                f"{expected[1]}.",
                where=path,
                hint="Export the run again.",
            )


def _sizes(shape: Sequence[Any]) -> list[int]:
    """Of one image; 0 where any size will do."""
    return [size if isinstance(size, int) else 0 for size in shape[1:]]
