"""failure.json: what ended a training before its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cnnreg.errors import CnnregError, DivergedError, StoppedError
from cnnreg.files import disk_errors, patiently, write_json
from cnnreg.plugins import one_line

from .config import now
from .run import Run


@contextmanager
def recorded_failure(run: Run) -> Iterator[None]:
    """What ends a training before its time stays in failure.json until it goes on.

    A stop that was asked for, which leaves a whole checkpoint, is no failure.
    """
    path = run.folder / "failure.json"
    with disk_errors(path):
        patiently(path.unlink, missing_ok=True)
    try:
        yield
    except StoppedError:
        raise
    except Exception as error:
        with suppress(CnnregError):  # a full disk, say: the error itself matters more
            kind = "diverged" if isinstance(error, DivergedError) else "failed"
            what = error.what if isinstance(error, CnnregError) else one_line(error)
            write_json(path, {"state": kind, "what": what, "at": now()})
        raise
