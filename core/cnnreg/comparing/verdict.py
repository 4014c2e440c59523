"""What may be said of who is better: no more than the spread over the seeds carries.

The leader of each question is chosen by validation accuracy and compared with
each of the others on test accuracy, over the seeds that both have. A difference is
taken seed by seed: both had the same initial weights, order and augmentation, so
what a lucky seed gives to both cancels out.

Leader and learning rates are chosen on the seeds that judge them, and the same lucky
weights raise both accuracies. So the intervals hold for all pairs that could have been
chosen, at each of their rates: then they do for the pairs that are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev

from cnnreg.chance import reach_of

from .results import Cell, best_of, best_rates, panels, shared_seeds

CONFIDENCE = 0.95  # of all intervals of one question together

METHOD = (
    "Learning rates and leaders are chosen by mean validation accuracy over the seeds; what "
    "diverged comes last. The differences are of test accuracy, in points, paired by seed; in "
    "brackets their t intervals, widened (Bonferroni) so that those of all pairs of contestants, "
    f"at each of their rates, hold together with {CONFIDENCE:.0%} confidence: whichever was "
    "chosen. Only where the interval leaves out 0 is one called better. That holds for seeds "
    "whose number was settled beforehand, not for adding some until one is better. Seeds vary "
    "initial weights, order and augmentation, not the images: nothing is said about other data."
)


ROUNDING = 1e-12  # of an accuracy


@dataclass(frozen=True, slots=True)
class Difference:
    """Leader minus other, in test accuracy (0..1), over the seeds that both finished."""

    other: str
    seeds: tuple[int, ...]
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
    unranked: tuple[str, ...]  # a seed diverged
    behind: Mapping[str, int]  # seeds finished so far, of those that have fewer than others
    text: str


def verdicts(table: Sequence[Cell]) -> list[Verdict]:
    """One for the optimizers of each network and data set, one for the networks on each data."""
    candidates, found = panels(table), []
    networks: dict[str, list[tuple[str, Cell]]] = {}
    for (architecture, data), group in panels(best_rates(table)).items():
        if len(group) > 1 and any(cell.results for cell in group):
            tried = [cell.optimizer for cell in candidates[architecture, data]]
            contestants = [(cell.label, cell) for cell in group]
            verdict = judge(f"{architecture} on {data}", contestants, _pairs(tried))
            at_edge = _at_edge(group, candidates[architecture, data])
            found.append(replace(verdict, text=" ".join([verdict.text, *at_edge])))
        best = best_of(group)
        networks.setdefault(data, []).append((f"{architecture} with {best.label}", best))
    for data, contestants in networks.items():
        if len(contestants) > 1 and any(cell.results for _, cell in contestants):
            tried = [cell.architecture for cell in table if cell.data == data]
            found.append(judge(f"Networks on {data}", contestants, _pairs(tried)))
    return found


def _at_edge(best: Iterable[Cell], tried: Sequence[Cell]) -> Iterator[str]:
    """Of optimizers whose best rate has none tried beyond it: a better one may lie there."""
    edges: dict[str, list[str]] = {"highest": [], "lowest": []}
    for cell in best:
        own = (other for other in tried if other.optimizer == cell.optimizer and other.results)
        rates = [other.learning_rate for other in own]
        if len(rates) > 1 and cell.finished:
            for edge, rate in (("highest", max(rates)), ("lowest", min(rates))):
                edges[edge] += [cell.label] if rate == cell.learning_rate else []
    for edge, labels in edges.items():
        if labels:
            yield f"Of the rates tried the {edge} is the best of {_list(labels)}: try more."


def _pairs(tried: Sequence[str]) -> int:
    """Each of `tried` is named by the contestant it may stand for: the pairs of different ones."""
    return sum(one != other for one, other in combinations(tried, 2))


def judge(subject: str, contestants: Sequence[tuple[str, Cell]], comparisons: int) -> Verdict:
    """The leader against each of the others; `comparisons` is of all that might be made."""
    seeds = frozenset.union(*(cell.seeds for _, cell in contestants))
    unranked = tuple(name for name, cell in contestants if cell.diverged)
    whole = {name: cell for name, cell in contestants if cell.results and not cell.diverged}
    behind = {
        name: len(cell.seeds)
        for name, cell in contestants
        if not cell.diverged and cell.seeds < seeds
    }
    waiting = [f"{name} has {n} of {len(seeds)} seeds so far." for name, n in behind.items()]
    lost = [f"Not ranked, for a seed diverged: {_list(unranked)}."] if unranked else []
    shared = shared_seeds(whole.values())
    if not shared:
        why = "there is no seed that all have" if whole else "every contestant lost a seed"
        said = [f"{subject}: {why}, so no order is claimed.", *(lost if whole else []), *waiting]
        return Verdict(subject, "", (), unranked, behind, " ".join(said))
    first = best_of(list(whole.values()))
    leader = next(name for name, cell in whole.items() if cell is first)
    differences = tuple(
        difference(name, first.test_by_seed(), cell.test_by_seed(), comparisons=comparisons)
        for name, cell in whole.items()
        if cell is not first
    )
    over = f" over {_named(shared)}, which all have" if shared != seeds else ""
    peak = first.merit(shared)[2]
    equal = [n for n, cell in whole.items() if abs(cell.merit(shared)[2] - peak) < ROUNDING]
    if len(equal) > 1:
        said = [
            f"{subject}: {_list(equal)} have the same highest mean validation accuracy{over}; "
            f"{leader} is compared with the others."
        ]
    else:
        said = [f"{subject}: {leader} has the highest mean validation accuracy{over}."]
    said += [*_in_words(differences, seeds), *lost, *waiting]
    return Verdict(subject, leader, differences, unranked, behind, " ".join(said))


def difference(
    other: str, ours: Mapping[int, float], theirs: Mapping[int, float], *, comparisons: int
) -> Difference:
    """The paired t interval over the common seeds; none where they all differ alike."""
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    pairs = [ours[seed] - theirs[seed] for seed in seeds]
    n, mean = len(pairs), fmean(pairs)
    deviation = stdev(pairs) if n > 1 else 0.0
    if deviation < ROUNDING:  # a handful of equal differences proves nothing
        return Difference(other, seeds, mean, None, None)
    confidence = 1 - (1 - CONFIDENCE) / comparisons
    reach = reach_of(confidence, n - 1) * deviation / sqrt(n)
    # No two accuracies differ by more than all.
    return Difference(other, seeds, mean, max(-1.0, mean - reach), min(1.0, mean + reach))


def _in_words(differences: Sequence[Difference], seeds: Collection[int]) -> list[str]:
    """A sentence for each kind of outcome; `seeds` are all that any contestant has."""
    if differences and all(len(item.seeds) == 1 for item in differences):
        return ["One seed: no spread is known, so no order is claimed."]
    said = []
    for word in ("better", "worse"):
        found = [_figure(item, seeds) for item in differences if getattr(item, word)]
        if found:
            said.append(f"On the test images it is {word} than {_list(found)}.")
    unsettled = [item for item in differences if not item.better and not item.worse]
    for n in sorted({len(item.seeds) for item in unsettled}):
        figures = [_figure(item, seeds) for item in unsettled if len(item.seeds) == n]
        cannot = "One seed does" if n == 1 else f"{n} seeds do"
        said.append(f"{cannot} not settle the difference to {_list(figures)}.")
    return said


def _figure(item: Difference, seeds: Collection[int]) -> str:
    """With the seeds that it rests on, where those are not all."""
    figure = f"{item.other}, {100 * item.mean:+.2f}"
    if item.low is not None and item.high is not None:
        figure += f" [{100 * item.low:+.2f} to {100 * item.high:+.2f}]"
    elif len(item.seeds) > 1:
        figure += " (with every seed alike: no spread)"
    return figure if len(item.seeds) == len(seeds) else f"{figure} over {_named(item.seeds)}"


def _named(seeds: Iterable[int]) -> str:
    names = [str(seed) for seed in sorted(seeds)]
    return f"seed{'s' if len(names) > 1 else ''} {_list(names)}"


def _list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
