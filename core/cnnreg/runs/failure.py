"""failure.json: what ended a training before its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cnnreg.errors import CnnregError, DivergedError, ModelFileError, StoppedError, one_line
from cnnreg.files import disk_errors, patiently, read_json, write_json

from .config import now
from .run import Run

FILE_NAME = "failure.json"
DIVERGED, FAILED = "diverged", "failed"


@contextmanager
def recorded_failure(run: Run) -> Iterator[None]:
    """What ends a training before its time stays in failure.json until it goes on.

    A stop that was asked for, which leaves a whole checkpoint, is no failure.
    """
    path = run.folder / FILE_NAME
    with disk_errors(path):
        patiently(path.unlink, missing_ok=True)
    try:
        yield
    except StoppedError:
        raise
    except Exception as error:
        with suppress(CnnregError):  # a full disk, say: the error itself matters more
            kind = DIVERGED if isinstance(error, DivergedError) else FAILED
            what = error.what if isinstance(error, CnnregError) else one_line(error)
            write_json(path, {"state": kind, "what": what, "at": now()})
        raise


def failure_told(folder: Path) -> str:
    """What ended a training, in words; empty where nothing did, or it does not say."""
    with suppress(CnnregError):
        if failure_state(folder):
            return str(read_json(folder / FILE_NAME).get("what", ""))
    return ""


def failure_state(folder: Path) -> str | None:
    """Whether a training diverged or failed; None if neither. Raises ModelFileError."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    said = read_json(path)
    if not isinstance(said, dict) or said.get("state") not in (DIVERGED, FAILED):
        raise ModelFileError("Damaged failure.json.", where=path)
    return str(said["state"])
