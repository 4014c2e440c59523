"""ONNX: one file that ONNX Runtime, OpenVINO, TensorRT and many others open.

Format: https://onnx.ai/onnx/intro/
"""

from __future__ import annotations

from pathlib import Path

from cnnreg import ExporterSpec, ExportRequest, hookimpl


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
        )
    ]
