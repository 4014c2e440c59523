"""ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cnnreg import ModelFile, RuntimeOptions, RuntimeSpec, Session, hookimpl
from cnnreg_export.runtimes.devices import processor
from cnnreg_export.untracked import untracked


def open_session(model: ModelFile, options: RuntimeOptions) -> Session:
    from .session import OnnxRuntimeSession

    return OnnxRuntimeSession(model, options)


def devices() -> Mapping[str, str]:
    untracked("onnxruntime")  # without its libraries it has none
    return processor()


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
            devices=devices,
            metadata=metadata,
            requires=("onnxruntime",),
        )
    ]
