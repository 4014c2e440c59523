"""Latency one can trust: steady state first, contestants interleaved, the whole distribution.

Each round visits every contestant once, in orders that are balanced over the rounds, so a
machine that heats up or is shared slows all of them alike. Speed-ups are medians of ratios
within a round. Knows no runtime by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING, Any

from cnnreg.engines import blaming_engine, settings_of
from cnnreg.errors import CnnregError, MachineError, PluginError, UsageError
from cnnreg.specs import ModelFile, RuntimeSpec, Session

from .orders import balanced_orders
from .turns import turn, warm_up

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnreg.specs import Pixels

DRIFT = 0.05  # a change over the rounds that is worth a warning
TRUSTED_P99 = 1000  # samples
INPUT_BYTES = 128 << 20  # that a contestant's inputs may take, where one batch does not take more
ASLEEP = 100  # times the other calls' p99, and a second: so long takes only a lid that was closed


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    batch: int = 1
    rounds: int = 10
    seconds: float = 0.5  # one contestant's turn within a round
    # Seconds, then on until steady, PATIENCE times as long or nine calls at the most; 0: none.
    warmup: float = 1.0

    def __post_init__(self) -> None:
        counts, times = (self.batch, self.rounds), (self.seconds, self.warmup)
        whole = all(hasattr(count, "__index__") and count > 0 for count in counts)
        real = all(isinstance(time, (int, float)) and isfinite(time) for time in times)
        if not (whole and real and self.seconds > 0 and self.warmup >= 0):
            raise UsageError(
                "A benchmark needs a batch, rounds (whole numbers) and seconds above 0."
            )


@dataclass(frozen=True, slots=True)
class Contestant:
    label: str
    model: ModelFile
    runtime: RuntimeSpec
    session: Session
    load_seconds: float
    device: str = "CPU"
    named: bool = True  # whether its device was asked for by name, not as one of all


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """Times in milliseconds a call of `batch` images."""

    label: str
    model: str  # the file's whole path
    sha256: str = ""  # of that file, an IR's with its weights
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
    agreement: float = 1.0  # of its classes with those of its run's original, or else the first
    answers_otherwise: bool = False  # than the original, on more images than chance explains
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Measured:
    """What is known of a contestant so far."""

    contestant: Contestant
    inputs: list[Any] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    first_call: float = 0.0
    steady: bool = True
    turns: list[NDArray[np.float64]] = field(default_factory=list)
    failure: CnnregError | None = None  # it is not called again


def benchmark(
    contestants: Sequence[Contestant],
    images: Pixels,
    options: BenchOptions,
    *,
    step: Callable[[str], None] = lambda text: None,
    note: Callable[[str], None] = lambda text: None,
) -> list[BenchResult | CnnregError]:
    """Time all contestants on the same images; the first one is the baseline.

    In place of one whose device or engine fails meanwhile stands its error; the baseline's is
    raised.
    """
    entries = [_Measured(one) for one in contestants]
    baseline = entries[0]
    for entry in entries:
        step(f"warming up {entry.contestant.label}")
        with _surviving(entry, baseline, note):
            entry.inputs = _inputs(entry.contestant, images, options.batch)
            entry.first_call, entry.steady = warm_up(
                entry.contestant.session, entry.inputs, options.warmup
            )
            entry.settings = settings_of(entry.contestant.runtime, entry.contestant.session)
    orders = balanced_orders(len(entries), options.rounds, seed=0)
    for number, order in enumerate(orders, 1):
        step(f"round {number} of {options.rounds}")
        for entry in (entries[index] for index in order if entries[index].failure is None):
            with _surviving(entry, baseline, note):
                times = turn(entry.contestant.session, entry.inputs, options.seconds)
                entry.turns.append(times)
    medians = _medians(baseline)
    return [entry.failure or _result(entry, medians, options) for entry in entries]


@contextmanager
def _surviving(
    entry: _Measured, baseline: _Measured, note: Callable[[str], None]
) -> Iterator[None]:
    """What fails in use costs its own contestant, unless the others stand against it."""
    try:
        with blaming_engine(entry.contestant.runtime):
            yield
    except (MachineError, PluginError) as error:
        if entry is baseline:
            raise
        entry.failure = error
        note(f"{entry.contestant.label} is left out from here on: {error.what}")


def _inputs(contestant: Contestant, images: Pixels, batch: int) -> list[Any]:
    """Different batches, prepared beforehand: preparing is not timed."""
    count = max(1, min(len(images) // batch, batches_to_time(batch, images[0].nbytes)))
    return [
        contestant.session.prepare(images[number * batch : (number + 1) * batch])
        for number in range(count)
    ]


def batches_to_time(batch: int, image_bytes: int) -> int:
    """Eight, or fewer large ones.

    As floats they are four times as large, and each contestant keeps its own to the end.
    """
    return max(1, min(8, INPUT_BYTES // (4 * batch * image_bytes)))


def _medians(entry: _Measured) -> tuple[float, ...]:
    return tuple(float(median(times)) for times in entry.turns)


def _result(entry: _Measured, baseline: Sequence[float], options: BenchOptions) -> BenchResult:
    import numpy as np

    contestant, medians = entry.contestant, _medians(entry)
    times = np.concatenate(entry.turns)
    p50, p90, p99 = (float(value) for value in np.percentile(times, [50, 90, 99]))
    ratios = [theirs / own for theirs, own in zip(baseline, medians, strict=True)]
    return BenchResult(
        label=contestant.label,
        model=str(contestant.model.path.resolve()),
        runtime=contestant.runtime.name,
        format=contestant.model.format,
        precision=contestant.model.precision,
        device=contestant.device,
        settings=entry.settings,
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
        first_call=entry.first_call,
        load_seconds=contestant.load_seconds,
        warnings=_warnings(entry, medians, times),
    )


def _warnings(
    entry: _Measured, medians: Sequence[float], times: NDArray[np.float64]
) -> tuple[str, ...]:
    import numpy as np

    warnings = []
    if not entry.steady:
        warnings.append("its times never stood still in warm-up")
    third = max(1, len(medians) // 3)
    change = median(medians[-third:]) / median(medians[:third]) - 1
    if len(medians) > 2 and abs(change) > DRIFT:
        warnings.append(f"drifted by {100 * change:+.0f} % over the rounds")
    *others, longest = np.sort(times)
    if longest > max(1000, ASLEEP * np.percentile(others, 99)):
        warnings.append(f"one call took {longest / 1000:.1f} s, as if the machine had slept")
    if len(times) < TRUSTED_P99:
        warnings.append(f"p99 rests on {len(times)} calls")
    return tuple(warnings)
