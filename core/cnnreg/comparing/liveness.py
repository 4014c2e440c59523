"""Who trains a trial, and whether that process still runs."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HEARTBEAT = 20  # seconds between two signs of life
MISSED = 3  # so many left out, and a worker is taken for dead


def this_worker() -> dict[str, Any]:
    import psutil

    started = psutil.Process().create_time()
    return {"machine": machine(), "pid": os.getpid(), "started": started}


def is_gone(worker: Mapping[str, Any] | None) -> bool:
    """Whether it is known to have ended; on another machine only the heartbeat tells."""
    import psutil

    if worker is None:
        return True
    if worker["machine"] != machine():
        return False
    try:
        started = psutil.Process(worker["pid"]).create_time()
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
    return bool(abs(started - worker["started"]) > 2)  # another process has its number now


def machine() -> str:
    """Where a process number means the same process: the machine and, in a container, which."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{platform.node()}/{uuid.getnode():x}/{namespace}"
