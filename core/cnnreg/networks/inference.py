"""The original's answers, which every export is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cnnreg.images import normalise
from cnnreg.specs import ModelContract

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels

BATCH = 64


@torch.inference_mode()
def logits_of_model(model: nn.Module, pixels: Pixels, contract: ModelContract) -> Logits:
    """Logits [N, classes] of resized images, in float32 on the CPU.

    The model is left in channels-last memory, in which processors convolve faster.
    """
    model.to(memory_format=torch.channels_last)
    chunks = (pixels[first : first + BATCH] for first in range(0, len(pixels), BATCH))
    inputs = (torch.from_numpy(normalise(chunk, contract.mean, contract.std)) for chunk in chunks)
    return np.concatenate(
        [model(batch.contiguous(memory_format=torch.channels_last)).numpy() for batch in inputs]
    )
