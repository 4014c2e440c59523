"""OpenVINO IR: model.xml and model.bin, for Intel processors, GPUs and NPUs.

Format: https://docs.openvino.ai/2026/documentation/openvino-ir-format.html
"""

from __future__ import annotations

from pathlib import Path

from cnnreg import ExporterSpec, ExportRequest, hookimpl

EXAMPLE = """\
import json, numpy, openvino, PIL.Image, PIL.ImageOps
model = openvino.Core().read_model({model})
network = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
picture = PIL.ImageOps.exif_transpose(PIL.Image.open("picture.jpg")).convert("RGB")
print(json.loads(model.get_rt_info(["cnnreg", "labels"]).value)[\
network(numpy.asarray(picture)[None])[0].argmax()])
"""
"""Five lines. The hint is part of what was proven: else processors that have bf16 take it."""


def write(request: ExportRequest) -> Path:
    from .writer import write_openvino

    return write_openvino(request)


@hookimpl
def cnnreg_exporters() -> list[ExporterSpec]:
    return [
        ExporterSpec(
            name="openvino",
            title="OpenVINO",
            summary="model.xml and model.bin for Intel processors, GPUs and NPUs",
            precisions=("fp32", "fp16", "int8"),
            write=write,
            requires=("torch", "openvino", "nncf"),
            extra="train",
            refines=True,
            example=EXAMPLE,
        )
    ]
