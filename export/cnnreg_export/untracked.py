"""Importing engines without the usage reports that they send to a web service."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from cnnreg import MachineError
from cnnreg.errors import REINSTALL, is_unloadable, one_line

# Read by ONNX Runtime when its first session begins, whoever imported it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def untracked(name: str) -> Any:
    """The module `openvino`, `nncf` or `onnxruntime`, which then reports to nobody.

    Call it before anything else imports them: OpenVINO and NNCF report on import.
    Raises MachineError where a library that the module is made of does not load.
    """
    # None makes `import openvino_telemetry` fail, which both packages handle.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # a documented use
    try:
        module = import_module(name)
    except (ImportError, OSError) as error:
        if not is_unloadable(error):
            raise
        raise MachineError(
            f"The package '{name}' does not load: {one_line(error)}.", hint=REINSTALL
        ) from error
    if name == "onnxruntime":
        module.disable_telemetry_events()
    return module
