"""A check and its outcome."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from cnnreg.errors import one_line
from cnnreg.output import quiet_stdout

S = TypeVar("S")
"""The kind of spec that is checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one check, and why in one line."""

    check: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[S]):
    """`run` returns what it found to be true, or raises ViolationError (or anything else)."""

    name: str
    run: Callable[[S], str]
    basic: bool = False  # what fails it fails the others too, for the same reason

    def __call__(self, spec: S) -> Outcome:
        from cnnreg.training.settings import settings_kept

        try:
            # What one check finds changed must not mislead the next; stdout is for the outcomes.
            with settings_kept(), quiet_stdout():
                return Outcome(check=self.name, passed=True, reason=self.run(spec))
        except ViolationError as violation:
            return Outcome(check=self.name, passed=False, reason=str(violation))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
            return Outcome(check=self.name, passed=False, reason=one_line(error))


class ViolationError(Exception):
    """A rule of the contract that is broken."""


def require(condition: bool, complaint: str) -> None:
    if not condition:
        raise ViolationError(complaint)


def in_fresh_process(
    code: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Python run with `code` and `arguments`, where no module has been imported yet."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(  # noqa: S603 - our own code, and no shell
        [sys.executable, "-P", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Why it failed: the last line on its stderr."""
    *_, why = done.stderr.splitlines() or [f"ends a fresh process with {done.returncode}"]
    return why


def outcomes(spec: S, checks: Iterable[Check[S]]) -> Iterator[Outcome]:
    """Run the checks, each outcome as it comes. A basic one that fails is the last."""
    for check in checks:
        outcome = check(spec)
        yield outcome
        if check.basic and not outcome.passed:
            return
