"""The run that is meant where none is named."""

from __future__ import annotations

from pathlib import Path

from cnnreg.runs import Run, find_run
from cnnreg.runs.overview import overview

from .common import say


def named_or_newest(named: Path | None) -> Run:
    """Where none is named, it is said which is taken."""
    run = find_run(named)
    if named is None:
        state = overview(run.folder).status
        which = "" if state in ("finished", "imported") else f", {state}"
        say(f"no run was named: taking {run.folder}{which}")
    return run
