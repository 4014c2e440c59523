"""What OpenVINO's Model API needs to use a file without being told anything.

Keys: https://github.com/openvinotoolkit/model_api/blob/master/docs/model-configuration.md
"""

from __future__ import annotations

from collections.abc import Iterable

from cnnreg import ModelContract
from cnnreg.images import LETTERBOX_GREY

RESIZE = {"crop": "crop", "squash": "standard", "letterbox": "fit_to_window_letterbox"}


def model_info(contract: ModelContract, *, embed: bool = False) -> dict[str, str]:
    """Means and deviations are of pixels 0..255; labels are split at spaces, so have none."""
    common = {
        "model_type": "Classification",
        "labels": " ".join(name.replace(" ", "_") for name in contract.classes),
    }
    if embed:  # the file does the rest itself
        return {**common, "reverse_input_channels": "True"}
    return {
        **common,
        "mean_values": _numbers(255 * value for value in contract.mean),
        "scale_values": _numbers(255 * value for value in contract.std),
        "resize_type": RESIZE[contract.resize],
        "pad_value": str(LETTERBOX_GREY),  # of a letterbox; else Model API pads with black
        # Model API hands over OpenCV's BGR; the networks here learn from RGB.
        "reverse_input_channels": str(contract.input_shape[0] == 3),
    }


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
