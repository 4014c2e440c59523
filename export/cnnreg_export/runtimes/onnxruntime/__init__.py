"""ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cnnreg import ModelFile, RuntimeOptions, RuntimeSpec, Session, hookimpl
from cnnreg_export.runtimes.devices import processor


def open_session(model: ModelFile, options: RuntimeOptions) -> Session:
    from .session import OnnxRuntimeSession

    return OnnxRuntimeSession(model, options)


def metadata(path: Path) -> Mapping[str, str]:
    from .session import stored_metadata

    return stored_metadata(path)


@hookimpl
def cnnreg_runtimes() -> list[RuntimeSpec]:
    return [
        RuntimeSpec(
            name="onnxruntime",
            title="ONNX Runtime",
            formats=("onnx",),
            open=open_session,
            devices=processor,
            metadata=metadata,
            requires=("onnxruntime",),
        )
    ]
