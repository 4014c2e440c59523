"""Which weights a run holds now, told from a header: neither torch nor the tensors are read."""

from __future__ import annotations

import json
from pathlib import Path

from cnnreg.manifest import source_of

from .opening import run_around
from .run import BEST

HEADER_KEY = "cnnreg"
MAX_HEADER_BYTES = 16 << 20


def weights_digest(path: Path) -> str:
    """The digest that a checkpoint gives itself, unverified; empty where there is none to read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MAX_HEADER_BYTES:
                return ""
            header = json.loads(file.read(size))["__metadata__"][HEADER_KEY]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return header.partition(" ")[0] if isinstance(header, str) else ""


def is_outdated(export: Path) -> bool:
    """Whether a run's export was made of other weights than its best ones are now.

    False for a folder that is no run's export, or does not say.
    """
    run = run_around(export)
    now = weights_digest(run / BEST) if run else ""
    made_of = source_of(export).get("checkpoint_sha256")
    return bool(now and made_of) and made_of != now
