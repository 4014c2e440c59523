"""What may be said of who is better: no more than the spread over the seeds carries.

The leader of each question is chosen by validation accuracy and compared with
each of the others on test accuracy, which nothing was chosen by. A difference is
taken seed by seed: both had the same initial weights, order and augmentation, so
what a lucky seed gives to both cancels out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from .results import Cell, best_rates, panels

CONFIDENCE = 0.95  # of all intervals of one question together

METHOD = (
    "Learning rates and leaders are chosen by mean validation accuracy over the seeds; what "
    "diverged comes last. The differences are of test accuracy, in points, paired by seed; in "
    "brackets their t intervals, widened (Bonferroni) so that all of one question hold together "
    f"with {CONFIDENCE:.0%} confidence. Only where the interval leaves out 0 is one called better. "
    "Seeds vary initial weights, order and augmentation, not the images: nothing is said about "
    "other data."
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Leader minus other, in test accuracy (0..1), over the seeds that both finished."""

    other: str
    n: int
    mean: float
    low: float | None  # None: no spread to judge by
    high: float | None

    @property
    def better(self) -> bool:
        return self.low is not None and self.low > 0

    @property
    def worse(self) -> bool:
        return self.high is not None and self.high < 0


@dataclass(frozen=True, slots=True)
class Verdict:
    subject: str
    leader: str
    differences: tuple[Difference, ...]
    unranked: tuple[str, ...]  # lost a seed
    text: str


def verdicts(table: Iterable[Cell]) -> list[Verdict]:
    """One for the optimizers of each network and data set, one for the networks on each data."""
    best = best_rates(table)
    found = [
        judge(f"{architecture} on {data}", [(cell.label, cell) for cell in group])
        for (architecture, data), group in panels(best).items()
        if len(group) > 1
    ]
    by_data: dict[str, list[tuple[str, Cell]]] = {}
    for (architecture, data), group in panels(best).items():
        cell = max(group, key=lambda cell: cell.merit)
        by_data.setdefault(data, []).append((f"{architecture} with {cell.label}", cell))
    return found + [
        judge(f"Networks on {data}", contestants)
        for data, contestants in by_data.items()
        if len(contestants) > 1
    ]


def judge(subject: str, contestants: Sequence[tuple[str, Cell]]) -> Verdict:
    """The leader against each of the others."""
    seeds = max(len(cell.results) for _, cell in contestants)
    whole = [(name, cell) for name, cell in contestants if len(cell.finished) == seeds]
    unranked = tuple(name for name, cell in contestants if len(cell.finished) < seeds)
    if not whole:
        text = f"{subject}: every contestant lost a seed, so no order is claimed."
        return Verdict(subject, "", (), unranked, text)
    leader, first = max(whole, key=lambda pair: pair[1].merit)
    others = [(name, cell) for name, cell in whole if name != leader]
    differences = tuple(
        difference(name, first.test_by_seed(), cell.test_by_seed(), comparisons=len(others))
        for name, cell in others
    )
    text = _in_words(subject, seeds, leader, differences, unranked)
    return Verdict(subject, leader, differences, unranked, text)


def difference(
    other: str, ours: dict[int, float], theirs: dict[int, float], *, comparisons: int
) -> Difference:
    """The paired t interval over the common seeds; none where they all differ alike."""
    from scipy.stats import t

    pairs = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    n, mean = len(pairs), fmean(pairs)
    deviation = stdev(pairs) if n > 1 else 0.0
    if deviation < 1e-12:  # rounding alone; a handful of equal differences proves nothing
        return Difference(other, n, mean, None, None)
    tail = (1 - CONFIDENCE) / comparisons / 2
    reach = float(t.isf(tail, n - 1)) * deviation / sqrt(n)
    # No two accuracies differ by more than all.
    return Difference(other, n, mean, max(-1.0, mean - reach), min(1.0, mean + reach))


def _in_words(
    subject: str,
    seeds: int,
    leader: str,
    differences: Sequence[Difference],
    unranked: Sequence[str],
) -> str:
    said = [f"{subject}: {leader} has the highest mean validation accuracy."]
    if seeds < 2 and differences:
        said.append("One seed: no spread is known, so no order is claimed.")
    elif differences:
        better = [_figure(item) for item in differences if item.better]
        worse = [_figure(item) for item in differences if item.worse]
        open_ones = [_figure(d) for d in differences if not d.better and not d.worse]
        if better:
            said.append(f"On the test images it is better than {_list(better)}.")
        if worse:
            said.append(f"On the test images it is worse than {_list(worse)}.")
        if open_ones:
            said.append(f"{seeds} seeds do not settle the difference to {_list(open_ones)}.")
    if unranked:
        said.append(f"Not ranked, for a seed diverged or is missing: {_list(unranked)}.")
    return " ".join(said)


def _figure(item: Difference) -> str:
    if item.low is None or item.high is None:
        return f"{item.other}, {100 * item.mean:+.2f} (with every seed alike: no spread)"
    points = f"{100 * item.mean:+.2f} [{100 * item.low:+.2f} to {100 * item.high:+.2f}]"
    return f"{item.other}, {points}"


def _list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
