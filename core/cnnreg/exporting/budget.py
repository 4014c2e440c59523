"""int8 within a budget of accuracy: from fast to slow, up to the first step that holds it.

1. fast          post-training quantisation
2. exact-bias    the same, with each layer's mean error taken off its bias
3. float-layers  the better of the two, but for as few as possible of the layers that cost most
4. fine-tuning   up to three epochs with rounded weights and activations, then the first again,
                 and at last with layers in float as well

Layers are ranked on training images and by the network itself, so that one loop serves every
format; whether the budget holds is measured on the finished file, in the engines that run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Literal

from cnnreg.errors import (
    CnnregError,
    DivergedError,
    GateError,
    ModelFileError,
    PluginError,
    is_out_of_memory,
    one_line,
)
from cnnreg.specs import Quantisation
from cnnreg.termination import stop_if_asked

from .original import CALIBRATION_IMAGES

if TYPE_CHECKING:
    from torch import Tensor

    from cnnreg.training.saving.progress import Progress

DEFAULT_MINUTES = 10.0
FAST = Quantisation()
CANNOT = (DivergedError, GateError, PluginError)  # what one way may meet, and not end all

Way = Literal["fast", "exact-bias", "float-layers", "fine-tuning"]
IN_WORDS: dict[Way, str] = {
    "fast": "post-training quantisation",
    "exact-bias": "post-training quantisation with exact bias correction",
    "float-layers": "quantisation of all but",
    "fine-tuning": "fine-tuning and post-training quantisation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    way: Way
    quantisation: Quantisation = FAST
    weights: dict[str, Tensor] | None = None  # None: the run's own
    epochs: int = 0  # of fine-tuning behind them

    @property
    def title(self) -> str:
        count = len(self.quantisation.float_layers)
        return f"{self.way} {count}" if count else self.way


@dataclass(frozen=True, slots=True)
class Verdict:
    """On the file that an attempt came to."""

    holds: bool
    drop: float  # points of accuracy, in the engine that loses most


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """How an int8 file came about; accuracies are 0..1, in the engine that loses most.

    They are the validation split's, the judging images those on which the drop was larger.
    """

    way: Way
    float_layers: tuple[str, ...]
    epochs: int  # of fine-tuning
    calibration_images: int
    judging_images: int
    original_accuracy: float
    accuracy: float
    seconds: float

    def __str__(self) -> str:
        count = len(self.float_layers)
        layers = f" {count} layer{'s' * (count > 1)} ({', '.join(self.float_layers)})"
        floats = layers if self.way == "float-layers" else f" of all but{layers}"
        few = self.calibration_images < CALIBRATION_IMAGES
        return (
            f"{IN_WORDS[self.way]}{floats if self.float_layers else ''}, calibrated on "
            f"{self.calibration_images} images{f' (few: {CALIBRATION_IMAGES} are better)' * few}, "
            f"judged on {self.judging_images}, {self.seconds:.1f} s"
        )


class OutOfTimeError(Exception):
    """The time for a step is up; raised inside it, and not seen outside."""


class TimeLimit:
    def __init__(self, minutes: float) -> None:
        self.end = monotonic() + 60 * minutes

    @property
    def over(self) -> bool:
        return not monotonic() < self.end  # so too if it is no number


def search(
    judge: Callable[[Attempt], Verdict],
    *,
    refines: bool,
    layer_errors: Callable[[], Iterable[tuple[str, float]]],
    finetuned: Callable[[Callable[[Progress], None]], Iterable[dict[str, Tensor]]],
    minutes: float,
    step: Callable[[str], None],
) -> Attempt | None:
    """The first attempt that holds, which is also the last that did; None if none does.

    `refines` says whether the format can be quantised otherwise than fast. `minutes` is the
    longest time for layers in float, and again for fine-tuning.
    """
    plain = judge(fast := Attempt(way="fast"))
    if plain.holds:
        return fast

    def tried(attempt: Attempt) -> Verdict:
        try:
            return judge(attempt)
        except (GateError, ModelFileError) as error:  # what one way cannot do, another may
            stop_if_asked()
            step(f"int8: not by {attempt.title}: {error.what}")
            return Verdict(holds=False, drop=inf)

    def holds(attempt: Attempt) -> bool:
        return tried(attempt).holds

    worst_first: list[str] = []
    if refines:
        exact = Attempt(way="exact-bias", quantisation=Quantisation(exact_bias=True))
        corrected = tried(exact)
        if corrected.holds:
            return exact
        limit = TimeLimit(minutes)
        worst_first = _worst_first(layer_errors, limit, step)
        better = exact if corrected.drop <= plain.drop else fast
        base = replace(better, way="float-layers")
        if found := _fewest_floats(holds, base, worst_first, limit):
            return found
    limit, tuned = TimeLimit(minutes), None
    for tuned in _finetuned(finetuned, limit, step):
        if holds(tuned):
            return tuned
    return _fewest_floats(holds, tuned, worst_first, limit) if tuned else None


def _worst_first(
    layer_errors: Callable[[], Iterable[tuple[str, float]]],
    limit: TimeLimit,
    step: Callable[[str], None],
) -> list[str]:
    """All layers by what they cost; none if there is no time to measure all."""
    errors = dict[str, float]()
    for layer, error in layer_errors():
        if limit.over:
            return []
        errors[layer] = error
        step(f"int8: what each layer costs, {len(errors)} measured")
    return sorted(errors, key=lambda layer: -errors[layer])


def _fewest_floats(
    holds: Callable[[Attempt], bool], base: Attempt, worst_first: list[str], limit: TimeLimit
) -> Attempt | None:
    """Twice as many layers each time, at most half of them, then back to the fewest that do."""
    most, failed, found = len(worst_first) // 2, 0, None
    while not limit.over:
        if found:
            count = (failed + len(found.quantisation.float_layers)) // 2
        else:
            count = min(max(1, 2 * failed), most)
        if count == failed:
            break
        floats = tuple(worst_first[:count])
        attempt = replace(base, quantisation=replace(base.quantisation, float_layers=floats))
        if holds(attempt):
            found = attempt
        else:
            failed = count
    return found


def _finetuned(
    finetuned: Callable[[Callable[[Progress], None]], Iterable[dict[str, Tensor]]],
    limit: TimeLimit,
    step: Callable[[str], None],
) -> Iterator[Attempt]:
    """With the weights of each epoch, as long as time and memory last and nothing diverges."""

    def on_step(progress: Progress) -> None:
        step(f"int8: fine-tuning, epoch {progress.epoch + 1}, step {progress.batch}")
        if limit.over:
            raise OutOfTimeError

    try:
        for epoch, weights in enumerate(finetuned(on_step), 1):
            yield Attempt(way="fine-tuning", weights=weights, epochs=epoch)
    except OutOfTimeError:
        pass
    except Exception as error:
        if not (isinstance(error, CANNOT) or is_out_of_memory(error)):
            raise
        stop_if_asked()
        what = error.what if isinstance(error, CnnregError) else one_line(error)
        step(f"int8: not by fine-tuning: {what}")
