"""int8 by post-training quantisation: NNCF measures activations on training images."""

from __future__ import annotations

from typing import TypeVar

from cnnreg import ExportRequest, GateError
from cnnreg.images import normalise
from cnnreg_export.formats import INPUT
from cnnreg_export.untracked import untracked

MAX_IMAGES = 300

Model = TypeVar("Model")


def quantise(model: Model, request: ExportRequest) -> Model:
    """An int8 copy of an ONNX or OpenVINO model. Raises GateError without images."""
    images = request.calibration[:MAX_IMAGES]
    if len(images) == 0:
        raise GateError(
            "int8 needs training images to calibrate on, and there are none.",
            hint="Export fp32 or fp16 instead.",
        )
    nncf = untracked("nncf")
    contract = request.contract
    # One image an item: NNCF's subset_size counts items, whatever their batch size.
    items = [{INPUT: normalise(image[None], contract.mean, contract.std)} for image in images]
    quantised: Model = nncf.quantize(
        model,
        nncf.Dataset(items),
        # Asymmetric activations, for networks whose activations are not all ReLU.
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(items),
        # Seven networks trained on digits and CIFAR-10 had mean logit errors as small without
        # bias correction as with it (within 1 %) or smaller, in 40 to 75 % of the time.
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
    )
    return quantised
