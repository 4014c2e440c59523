"""Stopping on SIGINT, SIGTERM, SIGHUP or Ctrl-Break at the end of the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from cnnreg.errors import StoppedError

from .distributed import World


class StopRequest:
    """A context in which the first signal sets `signal_number`; a second one interrupts at once."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._interrupting = False  # a signal of this process's own has come
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # Windows lacks some
                number = getattr(signal, name, None)
                # A signal that is ignored, as nohup asks for, stays ignored.
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        late = self._interrupting and not isinstance(error, StoppedError)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
            around = getattr(handler, "__self__", None)
            if late and number == self.signal_number and isinstance(around, StopRequest):
                around._handle(number, None)  # a comparison's: it must not begin the next training
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._interrupting:
            raise KeyboardInterrupt
        self._interrupting = True
        self.signal_number = number

    def asked_anywhere(self, world: World) -> bool:
        """Whether any process was asked to stop; all then stop, and for its reason."""
        if number := world.largest(self.signal_number or 0):
            self.signal_number = number
        return number > 0

    def __bool__(self) -> bool:
        return self.signal_number is not None

    @property
    def by_user(self) -> bool:
        return self.signal_number in (signal.SIGINT, getattr(signal, "SIGBREAK", None))
