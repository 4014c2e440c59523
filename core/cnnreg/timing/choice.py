"""Which contestant of a benchmark to use here: the fastest whose accuracy was proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, cos, log, pi, sin, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from cnnreg.manifest import has_manifest, read_manifest
from cnnreg.runs.weights import is_outdated

if TYPE_CHECKING:
    from .bench import BenchResult, Contestant


CONFIDENCE = 0.95  # of each difference by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    label: str
    device: str
    batch: int
    milliseconds: float  # the median of a call
    speedup: float  # against the first contestant
    baseline: str  # that one's label
    level_with: tuple[str, ...]  # proven too, and not told from it by the rounds
    unproven: tuple[str, ...]  # faster, but nobody compared their answers there

    def __str__(self) -> str:
        batch = f" at batch {self.batch}" if self.batch > 1 else ""
        place = f" on {self.device}"
        gain = "" if self.label == self.baseline else f" ({self.speedup:.1f}x {self.baseline})"
        text = f"{self.label.removesuffix(place)}{place}, {self.milliseconds:.2f} ms{gain}"
        if self.level_with:
            text += f"; these rounds do not tell it from {', '.join(self.level_with)}"
        if self.unproven:
            text += (
                f". Faster, but not proven equal there: {', '.join(self.unproven)} "
                "(for a GPU: cnnreg export --target igpu)"
            )
        return f"Fastest here{batch}: {text}"


def choose(results: Sequence[BenchResult], proven: Sequence[bool]) -> Choice | None:
    """The fastest of the proven ones; None if there is none."""
    eligible = [result for result, holds in zip(results, proven, strict=True) if holds]
    if not eligible:
        return None
    best = max(eligible, key=lambda result: result.speedup)
    others = [result for result in eligible if result is not best]
    doubtful = [result for result, holds in zip(results, proven, strict=True) if not holds]
    return Choice(
        label=best.label,
        device=best.device,
        batch=best.batch,
        milliseconds=best.p50,
        speedup=best.speedup,
        baseline=results[0].label,
        level_with=tuple(result.label for result in others if _is_level(result, best)),
        unproven=tuple(result.label for result in doubtful if result.speedup > best.speedup),
    )


def _is_level(result: BenchResult, best: BenchResult) -> bool:
    """Whether the t interval of how much slower it is, in logarithms paired by round, holds 0.

    One round has no spread: there it is slower if its median is above the best one's p90.
    """
    pairs = zip(result.round_medians, best.round_medians, strict=True)
    slower = [log(own / theirs) for own, theirs in pairs]
    if len(slower) == 1:
        return result.p50 <= best.p90
    mean, error = fmean(slower), stdev(slower) / sqrt(len(slower))
    return mean <= 0 or share_within(mean, error, len(slower) - 1) <= CONFIDENCE


def share_within(distance: float, error: float, freedom: int) -> float:
    """How much of Student's t lies within `distance / error` of 0, on both sides.

    By its finite series, Abramowitz and Stegun 26.7.3 and 26.7.4: timing needs no scipy.
    """
    angle, odd = atan2(distance, error * sqrt(freedom)), freedom % 2
    term, total = cos(angle) if odd else 1.0, 0.0
    for number in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cos(angle) ** 2 * (number - 1) / number
    total *= sin(angle)
    return 2 / pi * (angle + total) if odd else total


def is_proven(contestant: Contestant) -> bool:
    """Whether its answers were compared with the original's, in this engine on this device.

    A checkpoint is the original; a file without a manifest does not say, and one of weights
    that its run has since replaced was compared with another original.
    """
    model = contestant.model
    if model.architecture is not None:
        return True
    if not has_manifest(model.path.parent) or is_outdated(model.path.parent):
        return False
    manifest = read_manifest(model.path.parent)
    parity = manifest.parity.get(contestant.runtime.name)
    proven_here = parity and _alike(parity.get("device", "CPU"), contestant.device)
    return bool(proven_here) and manifest.model == model.path.name


def _alike(one: str, other: str) -> bool:
    """GPU and GPU.0 are the same device."""
    return one.upper().removesuffix(".0") == other.upper().removesuffix(".0")
