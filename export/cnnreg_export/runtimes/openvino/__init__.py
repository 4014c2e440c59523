"""OpenVINO on any device it finds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cnnreg import ModelFile, RuntimeOptions, RuntimeSpec, Session, hookimpl


def open_session(model: ModelFile, options: RuntimeOptions) -> Session:
    from .session import OpenVINOSession

    return OpenVINOSession(model, options)


def devices() -> Mapping[str, str]:
    from .hardware import found_devices

    return found_devices()


def details() -> Mapping[str, Mapping[str, str]]:
    from .hardware import device_details

    return device_details()


def metadata(path: Path) -> Mapping[str, str]:
    from .session import stored_metadata

    return stored_metadata(path)


@hookimpl
def cnnreg_runtimes() -> list[RuntimeSpec]:
    return [
        RuntimeSpec(
            name="openvino",
            title="OpenVINO",
            formats=("openvino", "onnx"),
            open=open_session,
            devices=devices,
            metadata=metadata,
            details=details,
            requires=("openvino",),
        )
    ]
