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


def lives(worker: Mapping[str, Any] | None) -> bool | None:
    """Whether its process runs, be it suspended; None where only the heartbeat tells.

    That is on another machine. A worker without a mark died before it could leave one.
    """
    import psutil

    if worker is None:
        return False
    if worker["machine"] != machine():
        return None
    try:
        process = psutil.Process(worker["pid"])
        started, ended = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return None
    # More than that, and another process has its number now.
    return not ended and abs(started - worker["started"]) <= 2


def machine() -> str:
    """Where a process number means the same process: the machine and, in a container, which."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{platform.node()}/{uuid.getnode():x}/{namespace}"
