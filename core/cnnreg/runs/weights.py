"""What weights are, told from a file's header: neither torch nor the tensors are read."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from cnnreg.errors import CnnregError
from cnnreg.manifest import source_of
from cnnreg.specs import ModelContract

from .opening import open_run, run_around
from .run import BEST

HEADER_KEY = "cnnreg"
MAX_HEADER_BYTES = 16 << 20


def weights_digest(path: Path) -> str:
    """The digest that a checkpoint gives itself, unverified; empty where there is none to read."""
    return _header(path).partition(" ")[0]


def weights_contract(path: Path) -> ModelContract | None:
    """Of the network that a run's or a checkpoint's weights are for, unverified.

    None where a file does not say. Raises UsageError for a folder that is no run.
    """
    if path.is_dir():
        return open_run(path).config.contract
    try:
        return ModelContract.from_data(json.loads(_header(path).partition(" ")[2])["contract"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def untrained(path: Path) -> frozenset[str]:
    """Names of the tensors that a run's weights, or its file of them, hold as they were drawn.

    An imported run has such, where its file lacked them or had them in another shape.
    """
    told = dict[str, Any]()
    with suppress(CnnregError):  # no run, or one that cannot say
        told = open_run(path.parent if path.name == BEST else path).config.imported
    misshapen = (tensor["name"] for tensor in told.get("misshapen", ()))
    return frozenset([*told.get("missing", ()), *told.get("idle", ()), *misshapen])


def _header(path: Path) -> str:
    """What a checkpoint says of itself; empty where there is none to read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MAX_HEADER_BYTES:
                return ""
            header = json.loads(file.read(size))["__metadata__"][HEADER_KEY]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return header if isinstance(header, str) else ""


def is_outdated(export: Path) -> bool:
    """Whether a run's export was made of other weights than its best ones are now.

    False for a folder that is no run's export, or does not say.
    """
    run = run_around(export)
    now = weights_digest(run / BEST) if run else ""
    made_of = source_of(export).get("checkpoint_sha256")
    return bool(now and made_of) and made_of != now
