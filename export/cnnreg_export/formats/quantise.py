"""int8 by post-training quantisation: NNCF measures activations on training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from cnnreg import ExportRequest, GateError
from cnnreg.images import normalise
from cnnreg_export.formats import INPUT
from cnnreg_export.untracked import untracked

BATCH = 10  # images that statistics are taken of at once: a third of the time

Model = TypeVar("Model")


def quantise(model: Model, request: ExportRequest, layers: Mapping[str, Sequence[str]]) -> Model:
    """An int8 copy of an ONNX or OpenVINO model, but for request.quantisation.float_layers.

    `layers` are the operators that each convolution and linear layer of the network became.
    Raises GateError without images, or where a layer to be left in float is not among them.
    """
    images = request.calibration
    if len(images) == 0:
        raise GateError(
            "int8 needs training images to calibrate on, and there are none.",
            hint="Export fp32 or fp16 instead.",
        )
    nncf = untracked("nncf")
    contract, wish = request.contract, request.quantisation
    items = [
        {INPUT: normalise(images[first : first + BATCH], contract.mean, contract.std)}
        for first in range(0, len(images), BATCH)
    ]
    quantised: Model = nncf.quantize(
        model,
        nncf.Dataset(items),
        # Asymmetric activations, for networks whose activations are not all ReLU.
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(items),  # NNCF counts items, whatever their batch size
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(names=_operators_of(wish.float_layers, layers)),
        # Seven networks trained on digits and CIFAR-10 had mean logit errors as small without
        # bias correction as with it (within 1 %) or smaller, in 40 to 75 % of the time.
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            disable_bias_correction=not wish.exact_bias,
            batchwise_statistics=True,  # each image's own, as with one image an item
        ),
    )
    return quantised


def _operators_of(wanted: Sequence[str], layers: Mapping[str, Sequence[str]]) -> list[str]:
    if unknown := [layer for layer in wanted if layer not in layers]:
        raise GateError(f"Layer '{unknown[0]}' cannot be left in float: the file has none such.")
    return [operator for layer in wanted for operator in layers[layer]]
