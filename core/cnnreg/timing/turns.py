"""One contestant by itself: warmed up until its times stand still, then timed, turn by turn."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cnnreg.specs import Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEADY = 0.03  # block medians this close to each other count as steady
PATIENCE = 10  # of the shortest warm-up: some engines never stand still

# Not counted, at the start of each turn. The threads of the one before may spin on the same cores
# for 0.2 s (torch's on Windows do), and a GPU that had nothing to do raises its clock meanwhile.
SETTLE = 0.25  # seconds
SETTLE_CALLS = 3  # at least


def warm_up(session: Session, inputs: Sequence[Any], seconds: float) -> tuple[float, bool]:
    """Run until block medians stop moving: the first call's milliseconds, and whether they did."""
    started = perf_counter()
    session.infer(inputs[0])
    first_call = 1000 * (perf_counter() - started)
    blocks: list[float] = []
    # Three blocks at least, however slow: fewer tell nothing.
    while (elapsed := perf_counter() - started) < PATIENCE * seconds or (
        seconds and len(blocks) < 3
    ):
        blocks.append(float(median(calls(session, inputs, seconds / 5, least=3))))
        recent = blocks[-3:]
        steady = len(recent) == 3 and max(recent) <= (1 + STEADY) * min(recent)
        if steady and elapsed >= seconds:
            return first_call, True
    return first_call, seconds == 0  # where none was asked for, nothing was left unsteady


def turn(session: Session, inputs: Sequence[Any], seconds: float) -> NDArray[np.float64]:
    """Milliseconds of each call, once the one before has let go of the machine."""
    calls(session, inputs, SETTLE, least=SETTLE_CALLS)
    collecting = gc.isenabled()
    gc.disable()
    try:
        return calls(session, inputs, seconds)
    finally:
        if collecting:
            gc.enable()


def calls(
    session: Session, inputs: Sequence[Any], seconds: float, *, least: int = 5
) -> NDArray[np.float64]:
    """Milliseconds of each call, for at least `seconds` and so many calls."""
    import numpy as np

    times: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end or len(times) < least:
        batch = inputs[len(times) % len(inputs)]
        before = perf_counter()
        session.infer(batch)
        times.append(1000 * (perf_counter() - before))
    return np.array(times)
