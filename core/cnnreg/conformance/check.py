"""A check and its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cnnreg.errors import one_line
from cnnreg.output import quiet_stdout
from cnnreg.specs import ArchitectureSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one check, and why in one line."""

    check: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`run` returns what it found to be true, or raises ViolationError (or anything else)."""

    name: str
    run: Callable[[ArchitectureSpec], str]
    computes: bool = False  # on real tensors: takes time and memory in large networks
    basic: bool = False  # a network that fails it fails the others too, for the same reason

    def __call__(self, spec: ArchitectureSpec) -> Outcome:
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
    """A rule of the contract that the architecture breaks."""
