"""What OpenVINO's Model API needs to use a file without being told anything.

Keys: https://github.com/openvinotoolkit/model_api/blob/master/docs/model-configuration.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cnnreg import ModelContract
from cnnreg.images import LETTERBOX_GREY
from cnnreg.specs import BARE, Interface

RESIZE = {"crop": "crop", "squash": "standard", "letterbox": "fit_to_window_letterbox"}


def model_info(contract: ModelContract, interface: Interface = BARE) -> dict[str, str]:
    """Means and deviations are of pixels 0..255; labels are split at white space, so have none."""
    common = {
        "model_type": "Classification",
        "labels": " ".join(re.sub(r"\s", "_", name) for name in contract.classes),
    }
    resizing = {
        "resize_type": RESIZE[contract.resize],
        "pad_value": str(LETTERBOX_GREY),  # of a letterbox; else Model API pads with black
    }
    if interface.embed:  # the file does the rest itself, but for resizing to fixed shapes
        left = resizing if interface.fixed else {}
        return {**common, **left, "reverse_input_channels": "True"}
    return {
        **common,
        **resizing,
        "mean_values": _numbers(255 * value for value in contract.mean),
        "scale_values": _numbers(255 * value for value in contract.std),
        # Model API hands over OpenCV's BGR; the networks here learn from RGB.
        "reverse_input_channels": str(contract.input_shape[0] == 3),
    }


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
