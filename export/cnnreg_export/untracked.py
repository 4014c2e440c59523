"""Importing OpenVINO and NNCF without the usage reports they send to a web service."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def untracked(name: str) -> Any:
    """The module `openvino` or `nncf`, with their own telemetry stub in place of the sender.

    Call it before anything else imports them: the report goes out on import.
    """
    # None makes `import openvino_telemetry` fail, which both packages handle.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # a documented use
    return import_module(name)
