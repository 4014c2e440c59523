"""What a command had done before it ended early stands in the error that it ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cnnreg.errors import CnnregError, StoppedError, is_out_of_memory
from cnnreg.termination import Terminated

from .boundary import as_known


@contextmanager
def telling(finished: Callable[[], Any], stopped: Callable[[], str]) -> Iterator[None]:
    """`finished` is for the document of --json; `stopped` says after how much a signal came."""
    try:
        yield
    except CnnregError as error:
        error.finished = finished()
        raise
    except KeyboardInterrupt as stop:
        end = StoppedError(stopped(), by_user=not isinstance(stop, Terminated))
        end.finished = finished()
        raise end from stop
    except Exception as error:
        if not is_out_of_memory(error):  # which torch and the engines tell in ways of their own
            raise
        known = as_known(error)
        known.finished = finished()
        raise known from error
