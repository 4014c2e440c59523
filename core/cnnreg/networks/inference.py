"""The original's answers, which every export is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from cnnreg.errors import is_out_of_memory
from cnnreg.images import normalise
from cnnreg.specs import ModelContract

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels

BATCH = 64


class FastNetwork:
    """A network in channels-last memory, in which processors convolve faster, where it can be.

    It may take a view that cannot be taken so, or have parameters that cannot lie so.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.layout = torch.channels_last
        self.placed: torch.memory_format | None = None

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits of normalised images [N, C, H, W]."""
        try:
            return self._answer(inputs, self.layout)
        except RuntimeError as error:
            if self.layout == torch.contiguous_format or is_out_of_memory(error):
                raise
        answer = self._answer(inputs, torch.contiguous_format)  # or it was not the memory's fault
        self.layout = torch.contiguous_format
        return answer

    def _answer(self, inputs: Tensor, layout: torch.memory_format) -> Tensor:
        if self.placed != layout:
            self.network.to(memory_format=layout)
            self.placed = layout
        answer: Tensor = self.network(inputs.contiguous(memory_format=layout))
        return answer


def logits_of_model(model: nn.Module, pixels: Pixels, contract: ModelContract) -> Logits:
    """Logits [N, classes] of resized images, in float32 on the CPU.

    The model is left in the memory that it was fastest in.
    """
    network = FastNetwork(model)
    chunks = (pixels[first : first + BATCH] for first in range(0, len(pixels), BATCH))
    inputs = (torch.from_numpy(normalise(chunk, contract.mean, contract.std)) for chunk in chunks)
    return np.concatenate([network(batch).numpy() for batch in inputs])
