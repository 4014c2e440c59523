"""Words that several specs use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]  # [N, H, W, C], 0 to 255
    Labels = NDArray[np.int64]  # [N]
    Logits = NDArray[np.float32]  # [N, classes]

Shape = tuple[int, int, int]
"""Channels, height, width."""

Form = Literal["standard", "small"]
"""`small` keeps the resolution that an ImageNet stem would throw away."""

Resize = Literal["crop", "squash", "letterbox"]
"""How an image of another shape becomes the model's: cut, stretched, or padded."""

Precision = Literal["fp32", "fp16", "bf16", "int8"]

Renames = tuple[tuple[str, str], ...]
"""Regular expressions and what to put in their place, as for `re.sub`."""
