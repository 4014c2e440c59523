"""Files and folders that are whole at every moment, whatever ends their writer."""

from __future__ import annotations

from .disk import check_room, disk_errors, full_disk
from .folders import (
    last_touched,
    publish_folder,
    sweep_abandoned,
    sweep_temporaries,
    temporary_folder,
    time_there,
)
from .locking import LOCK, in_use, sole_writer, taken
from .places import CACHE_VARIABLE, WINDOWS, home, typed
from .writing import (
    TEMPORARY_PREFIX,
    check_schema,
    file_digest,
    patiently,
    read_json,
    unique,
    write_bytes,
    write_json,
    write_text,
)

__all__ = [
    "CACHE_VARIABLE",
    "LOCK",
    "TEMPORARY_PREFIX",
    "WINDOWS",
    "check_room",
    "check_schema",
    "disk_errors",
    "file_digest",
    "full_disk",
    "home",
    "in_use",
    "last_touched",
    "patiently",
    "publish_folder",
    "read_json",
    "sole_writer",
    "sweep_abandoned",
    "sweep_temporaries",
    "taken",
    "temporary_folder",
    "time_there",
    "typed",
    "unique",
    "write_bytes",
    "write_json",
    "write_text",
]
