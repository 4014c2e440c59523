"""Whether those that were timed answer alike: the time of a wrong answer is worth nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from cnnreg.answers import answers_of
from cnnreg.engines import CHECKPOINT
from cnnreg.errors import CnnregError

from .bench import BenchResult, Contestant
from .contestants import run_of

if TYPE_CHECKING:
    from cnnreg.specs import Labels, Pixels

EXPECTED = 0.95  # int8 may decide a few images otherwise
SURE = 2.0  # standard errors beyond that, which few images do not show by chance

Outcome = tuple[Contestant, BenchResult | CnnregError]


def judged(
    outcomes: Sequence[Outcome], images: Pixels, batch: int, *, expected: float = EXPECTED
) -> list[Outcome]:
    """Each result with its agreement, or with the error of one that gives no answers.

    The answers are compared with those of the run's original, or else of the first of that run.
    Less than the `expected` agreement is a warning, and against the original, by more than chance,
    a verdict: it `answers_otherwise`.

    Raises the first one's: what the others are compared with is its times.
    """
    images = images[: len(images) // batch * batch]
    firsts: dict[Path, tuple[Contestant, Labels]] = {}

    def judge(contestant: Contestant, outcome: BenchResult | CnnregError) -> Outcome:
        if isinstance(outcome, CnnregError):
            return contestant, outcome
        try:
            classes = _classes(contestant, images, batch)
        except CnnregError as error:
            if contestant is outcomes[0][0]:
                raise
            return contestant, error
        found = firsts.setdefault(run_of(contestant.model), (contestant, classes))
        return contestant, _compared(outcome, classes, *found, expected)

    originals_first = sorted(
        range(len(outcomes)), key=lambda index: outcomes[index][0].model.format != CHECKPOINT
    )
    found = {index: judge(*outcomes[index]) for index in originals_first}
    return [found[index] for index in range(len(outcomes))]


def _classes(contestant: Contestant, images: Pixels, batch: int) -> Labels:
    runtime, session, model = contestant.runtime, contestant.session, contestant.model
    classes: Labels = answers_of(runtime, session, model, images, batch=batch).argmax(1)
    return classes


def _compared(
    result: BenchResult, classes: Labels, first: Contestant, said: Labels, expected: float
) -> BenchResult:
    count, odd = len(classes), int((classes != said).sum())
    agreement, warnings = 1 - odd / count, result.warnings
    if agreement < expected:
        warnings += (f"decides {odd} of {count} images otherwise than {first.label}",)
    least = expected - SURE * sqrt(expected * (1 - expected) / count)
    return replace(
        result,
        agreement=agreement,
        answers_otherwise=first.model.format == CHECKPOINT and agreement < least,
        warnings=warnings,
    )
