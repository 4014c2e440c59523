"""A logger that fails costs one note and a pause, not a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from cnnreg import RunInfo

PAUSE = 300.0  # seconds before a logger that failed is tried again

Send = Callable[[RunInfo, Mapping[str, Any] | None], None]
"""Bring everything that is missing up to now; the result once training has finished."""


class Patient:
    """Calls `send`; its first failure is raised, later ones are kept quiet.

    Nothing gets lost by a pause: `send` works from metrics.jsonl, so that the next
    time it succeeds it brings the epochs in between as well.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._wait_until: dict[Path, float] = {}

    def __call__(self, run: RunInfo, result: Mapping[str, Any] | None = None) -> None:
        waits = self._wait_until.get(run.folder)
        if waits is not None and monotonic() < waits and result is None:
            return
        try:
            self._send(run, result)
        except Exception:
            self._wait_until[run.folder] = monotonic() + PAUSE
            if waits is None:
                raise
        else:
            self._wait_until.pop(run.folder, None)
