"""Stopping on SIGINT, SIGTERM, SIGHUP or Ctrl-Break at the end of the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from cnnreg.termination import BY_USER, Terminated, heard

from .distributed.world import World


class StopRequest:
    """A context in which the first signal sets `signal_number`; a second one interrupts at once.

    It raises KeyboardInterrupt if it is the user's, else Terminated.

    One within another hears what the other one heard, and the other one what it hears:
    of several trainings the one that is stopped is the last.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._interrupting = False  # a signal of this process's own has come
        self._previous: dict[int, Any] = {}
        self._around: StopRequest | None = None  # in whose context this one is

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in heard():
                self._previous[number] = before = signal.signal(number, self._handle)
                owner = getattr(before, "__self__", None)
                self._around = owner if isinstance(owner, StopRequest) else None
        if self._around:  # was asked
            self.signal_number = self._around.signal_number
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._interrupting:
            raise KeyboardInterrupt if number in BY_USER else Terminated
        self._interrupting = True
        self.signal_number = number
        if self._around is not None:
            self._around._handle(number, frame)

    def asked_anywhere(self, world: World) -> bool:
        """Whether any process was asked to stop; all then stop, and for its reason."""
        if number := world.largest(self.signal_number or 0):
            self.signal_number = number
        return number > 0

    def __bool__(self) -> bool:
        return self.signal_number is not None

    @property
    def by_user(self) -> bool:
        return self.signal_number in BY_USER
