"""Latency one can trust: steady state first, contestants interleaved, the whole distribution.

Each round visits every contestant once in a fresh random order, so a machine
that heats up or is shared slows all of them alike. The first calls of a turn
are not counted: the previous contestant's threads and cache lines are still
about. Speed-ups are medians of ratios within a round. Knows no runtime by name.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cnnreg.errors import UsageError
from cnnreg.specs import ModelFile, RuntimeSpec, Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnreg.specs import Pixels

STEADY = 0.03  # block medians this close to each other count as steady
DRIFT = 0.05  # a change over the rounds that is worth a warning
SETTLE_CALLS = 3  # not counted, at the start of each turn
TRUSTED_P99 = 1000  # samples
PATIENCE = 10  # of the shortest warm-up: some engines never stand still


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    batch: int = 1
    rounds: int = 10
    seconds: float = 0.5  # one contestant's turn within a round
    warmup: float = 1.0  # seconds, then on until steady, at most PATIENCE times as long; 0: none
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = (self.batch, self.rounds, self.seconds, self.warmup)
        real = all(isinstance(number, (int, float)) for number in numbers)
        if not real or min(numbers[:-1]) <= 0 or self.warmup < 0:
            raise UsageError("A benchmark needs a batch, rounds and seconds above 0.")


@dataclass(frozen=True, slots=True)
class Contestant:
    label: str
    model: ModelFile
    runtime: RuntimeSpec
    session: Session
    load_seconds: float
    device: str = "CPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """Times in milliseconds a call of `batch` images."""

    label: str
    model: str  # the file's whole path
    runtime: str
    format: str
    precision: str
    device: str
    settings: dict[str, str]
    batch: int
    calls: int
    mean: float
    p50: float
    p90: float
    p99: float
    round_medians: tuple[float, ...]
    images_per_second: float  # at the median
    speedup: float  # against the first contestant, median over rounds
    speedup_range: tuple[float, float]  # lowest and highest round
    first_call: float
    load_seconds: float
    warnings: tuple[str, ...]


def benchmark(
    contestants: Sequence[Contestant],
    images: Pixels,
    options: BenchOptions,
    *,
    step: Callable[[str], None] = lambda text: None,
) -> list[BenchResult]:
    """Time all contestants on the same images; the first one is the baseline."""
    inputs = [_inputs(contestant, images, options.batch) for contestant in contestants]
    first = []
    for contestant, batches in zip(contestants, inputs, strict=True):
        step(f"warming up {contestant.label}")
        first.append(_warm_up(contestant.session, batches, options))
    turns: list[list[NDArray[np.float64]]] = [[] for _ in contestants]
    order = list(range(len(contestants)))
    shuffle = random.Random(options.seed).shuffle  # noqa: S311 - an order, not a secret
    for number in range(options.rounds):
        step(f"round {number + 1} of {options.rounds}")
        shuffle(order)
        for index in order:
            turns[index].append(_turn(contestants[index].session, inputs[index], options))
    medians = [[_median(turn) for turn in own] for own in turns]
    return [
        _result(contestant, own, call, medians[0], options)
        for contestant, own, call in zip(contestants, turns, first, strict=True)
    ]


def _inputs(contestant: Contestant, images: Pixels, batch: int) -> list[Any]:
    """Up to eight different batches, prepared beforehand: preparing is not timed."""
    count = max(1, min(8, len(images) // batch))
    return [
        contestant.session.prepare(images[number * batch : (number + 1) * batch])
        for number in range(count)
    ]


def _warm_up(session: Session, inputs: Sequence[Any], options: BenchOptions) -> float:
    """Run until block medians stop moving; returns the very first call's milliseconds."""
    started = perf_counter()
    session.infer(inputs[0])
    first_call = perf_counter() - started
    blocks: list[float] = []
    while (elapsed := perf_counter() - started) < PATIENCE * options.warmup:
        blocks.append(_median(_calls(session, inputs, options.warmup / 5)))
        recent = blocks[-3:]
        steady = len(recent) == 3 and max(recent) <= (1 + STEADY) * min(recent)
        if steady and elapsed >= options.warmup:
            break
    return 1000 * first_call


def _turn(session: Session, inputs: Sequence[Any], options: BenchOptions) -> NDArray[np.float64]:
    for batch in (*inputs, *inputs)[:SETTLE_CALLS]:
        session.infer(batch)
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _calls(session, inputs, options.seconds)
    finally:
        if collecting:
            gc.enable()


def _calls(session: Session, inputs: Sequence[Any], seconds: float) -> NDArray[np.float64]:
    """Milliseconds of each call, for at least `seconds` and five calls."""
    import numpy as np

    times: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end or len(times) < 5:
        batch = inputs[len(times) % len(inputs)]
        before = perf_counter()
        session.infer(batch)
        times.append(1000 * (perf_counter() - before))
    return np.array(times)


def _median(times: NDArray[np.float64]) -> float:
    return float(median(times))


def _result(
    contestant: Contestant,
    turns: Sequence[NDArray[np.float64]],
    first_call: float,
    baseline: Sequence[float],
    options: BenchOptions,
) -> BenchResult:
    import numpy as np

    times = np.concatenate(turns)
    p50, p90, p99 = (float(value) for value in np.percentile(times, [50, 90, 99]))
    medians = tuple(_median(turn) for turn in turns)
    ratios = [theirs / own for theirs, own in zip(baseline, medians, strict=True)]
    return BenchResult(
        label=contestant.label,
        model=str(contestant.model.path.resolve()),
        runtime=contestant.runtime.name,
        format=contestant.model.format,
        precision=contestant.model.precision,
        device=contestant.device,
        settings=dict(contestant.session.describe()),
        batch=options.batch,
        calls=len(times),
        mean=float(times.mean()),
        p50=p50,
        p90=p90,
        p99=p99,
        round_medians=medians,
        images_per_second=1000 * options.batch / p50,
        speedup=median(ratios),
        speedup_range=(min(ratios), max(ratios)),
        first_call=first_call,
        load_seconds=contestant.load_seconds,
        warnings=_warnings(medians, len(times)),
    )


def _warnings(medians: Sequence[float], calls: int) -> tuple[str, ...]:
    warnings = []
    third = max(1, len(medians) // 3)
    change = median(medians[-third:]) / median(medians[:third]) - 1
    if len(medians) > 2 and abs(change) > DRIFT:
        warnings.append(f"drifted by {100 * change:+.0f} % over the rounds")
    if calls < TRUSTED_P99:
        warnings.append(f"p99 rests on {calls} calls")
    return tuple(warnings)
