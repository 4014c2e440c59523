"""Writing model.xml and model.bin from a captured network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnnreg import ExportRequest
from cnnreg_export.formats import INPUT, OUTPUT
from cnnreg_export.formats.capture import capture, translation
from cnnreg_export.formats.quantise import quantise
from cnnreg_export.quiet import quiet
from cnnreg_export.untracked import untracked

from .model_info import model_info

ov = untracked("openvino")

METADATA_ROOT = "cnnreg"


def write_openvino(request: ExportRequest) -> Path:
    path = request.folder / "model.xml"
    shape = request.contract.input_shape
    with quiet():
        program = capture(request.model, shape)
        with translation(program, "OpenVINO"):
            model = ov.convert_model(program)
            _declare(model, [-1, *shape])
            if request.precision == "int8":
                model = quantise(model, request)
            for key, text in request.metadata.items():
                model.set_rt_info(text, [METADATA_ROOT, key])
            for key, text in model_info(request.contract).items():
                model.set_rt_info(text, ["model_info", key])
            # save_model compresses to fp16 unless told not to.
            ov.save_model(model, path, compress_to_fp16=request.precision == "fp16")
    return path


def _declare(model: Any, shape: list[int]) -> None:
    """Name, shape and layout of the one input and the one output."""
    model.reshape(ov.PartialShape(shape))
    parameter = model.input().get_node()
    parameter.set_friendly_name(INPUT)
    parameter.set_layout(ov.Layout("NCHW"))
    model.input().get_tensor().set_names({INPUT})
    model.output().get_tensor().set_names({OUTPUT})
    model.validate_nodes_and_infer_types()
