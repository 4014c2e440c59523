"""ONNX: one file that ONNX Runtime, OpenVINO, TensorRT and many others open.

Format: https://onnx.ai/onnx/intro/
"""

from __future__ import annotations

from pathlib import Path

from cnnreg import ExporterSpec, ExportRequest, hookimpl

EXAMPLE = """\
import json, numpy, onnxruntime, PIL.Image, PIL.ImageOps
session = onnxruntime.InferenceSession({model})
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
picture = PIL.ImageOps.exif_transpose(PIL.Image.open("picture.jpg")).convert("RGB")
print(labels[session.run(None, {"images": numpy.asarray(picture)[None]})[0].argmax()])
"""


def write(request: ExportRequest) -> Path:
    from .writer import write_onnx

    return write_onnx(request)


@hookimpl
def cnnreg_exporters() -> list[ExporterSpec]:
    return [
        ExporterSpec(
            name="onnx",
            title="ONNX",
            summary="one portable file for ONNX Runtime, OpenVINO and others",
            precisions=("fp32", "fp16", "int8"),
            write=write,
            requires=("torch", "onnx", "onnxscript", "onnxruntime", "nncf"),
            extra="train",
            refines=True,
            example=EXAMPLE,
        )
    ]
