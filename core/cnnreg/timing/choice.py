"""Which contestant of a benchmark to use here: the fastest whose accuracy was proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from cnnreg.chance import share_within
from cnnreg.engines import CHECKPOINT
from cnnreg.exporting.targets import ENGINE, plans
from cnnreg.machine.devices import alike, details_of, devices_of, identity_of, kind_of
from cnnreg.machine.environment import has_vnni, instruction_sets
from cnnreg.manifest import Manifest, has_manifest, read_manifest
from cnnreg.runs.weights import is_outdated

if TYPE_CHECKING:
    from .bench import BenchResult, Contestant


CONFIDENCE = 0.95  # of all differences together
CURE = "For the GPU: cnnreg export RUN --target igpu"
OTHERWISE = "answers otherwise here"
CHANGES = {
    "device_name": "proven on another device",
    "driver": "proven with another driver",
    "engine": "proven with another version of the engine",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a contestant's answers were compared with its original's where it was timed."""

    doubt: str = ""  # why not; empty: they were
    one_by_one: bool = False  # they were for one image at a time, and others are computed otherwise
    curable: bool = False  # whether CURE writes such a file, proven there

    def doubt_about(self, result: BenchResult) -> str:
        """Why `result` is not proven; empty if it is. What was seen here goes before any proof."""
        if result.answers_otherwise:
            return OTHERWISE
        return self.doubt or ("proven at batch 1" if self.one_by_one and result.batch > 1 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    label: str
    device: str
    batch: int
    milliseconds: float  # the median of a call
    speedup: float  # against the first contestant
    baseline: str  # that one's label
    level_with: tuple[str, ...]  # proven too, and not told from it by the rounds
    unproven: tuple[str, ...]  # faster, but their answers were not compared there, or differ
    doubts: tuple[str, ...] = ()  # why not, of each of them
    cure: str = ""  # what proves one of them

    def __str__(self) -> str:
        batch = f" at batch {self.batch}" if self.batch > 1 else ""
        place = f" on {self.device}"
        level = self.baseline in (self.label, *self.level_with)
        gain = "" if level else f" ({self.speedup:.1f}x {self.baseline})"
        text = f"{self.label.removesuffix(place)}{place}, {self.milliseconds:.2f} ms{gain}"
        if self.level_with:
            text += f"; these rounds do not tell it from {', '.join(self.level_with)}"
        if self.unproven:
            pairs = zip(self.unproven, self.doubts, strict=True)
            faster = ", ".join(f"{label} ({doubt})" for label, doubt in pairs)
            text += f". Faster, but not proven equal there: {faster}"
        cure = f". {self.cure}" if self.cure else ""
        return f"Fastest here{batch}: {text}{cure}"


def choose(results: Sequence[BenchResult], proofs: Sequence[Proof]) -> Choice | None:
    """The fastest of the proven ones that answered as their originals do; None if there is none."""
    doubts = [one.doubt_about(own) for own, one in zip(results, proofs, strict=True)]
    eligible = [result for result, doubt in zip(results, doubts, strict=True) if not doubt]
    if not eligible:
        return None
    best = max(eligible, key=lambda result: result.speedup)
    confidence = _of_each_pair(len(results))
    faster = {
        index: result
        for index, result in enumerate(results)
        if doubts[index] and not _is_level(best, result, confidence)
    }
    curable = any(
        proofs[index].curable and not any(_is_kin(result, other) for other in eligible)
        for index, result in faster.items()
    )
    return Choice(
        label=best.label,
        device=best.device,
        batch=best.batch,
        milliseconds=best.p50,
        speedup=best.speedup,
        baseline=results[0].label,
        level_with=tuple(
            result.label
            for result in eligible
            if result is not best and _is_level(result, best, confidence)
        ),
        unproven=tuple(result.label for result in faster.values()),
        doubts=tuple(doubts[index] for index in faster),
        cure=CURE if curable else "",
    )


def _is_kin(one: BenchResult, other: BenchResult) -> bool:
    """Whether both are of one precision, in one engine on one device."""
    kinds = {(result.runtime, result.device, result.precision) for result in (one, other)}
    return len(kinds) == 1


def _of_each_pair(contestants: int) -> float:
    """What each difference must be sure by, so that all of them together are (Bonferroni)."""
    pairs = contestants * (contestants - 1) // 2
    return 1 - (1 - CONFIDENCE) / max(1, pairs)


def _is_level(result: BenchResult, best: BenchResult, confidence: float) -> bool:
    """Whether the t interval of how much slower it is, in logarithms paired by round, holds 0.

    One round has no spread: there it is slower if its median is above the best one's p90.
    """
    pairs = zip(result.round_medians, best.round_medians, strict=True)
    slower = [log(own / theirs) for own, theirs in pairs]
    if len(slower) == 1:
        return result.p50 <= best.p90
    mean, error = fmean(slower), stdev(slower) / sqrt(len(slower))
    return mean <= 0 or share_within(mean, error, len(slower) - 1) <= confidence


def proof_of(contestant: Contestant) -> Proof:
    """Whether its answers were compared with the original's, in this engine on this device.

    A checkpoint is the original; a file without a manifest does not say, and one of weights
    that its run has since replaced was compared with another original.
    """
    model, device = contestant.model, contestant.device
    if model.format == CHECKPOINT:
        return Proof()
    if not has_manifest(model.path.parent):
        doubt = "no manifest beside it"
    elif is_outdated(model.path.parent):
        doubt = "of older weights"
    else:
        doubt = _doubt(contestant, read_manifest(model.path.parent))
    if doubt:
        return Proof(doubt, curable=_is_curable(contestant))
    return Proof(one_by_one=not (kind_of(device) == "CPU" or model.interface.fixed))


def _doubt(contestant: Contestant, manifest: Manifest) -> str:
    """Why what the manifest tells is no proof of what was timed; empty if it is."""
    device = contestant.device
    parity = manifest.parity.get(contestant.runtime.name)
    if parity is None or manifest.model != contestant.model.path.name:
        return "not proven in this engine"
    proven_on = str(parity.get("device", "CPU"))
    if not alike(proven_on, device):
        return f"proven on {proven_on}"
    if kind_of(device) == "CPU":
        # Processors agree but for sums of int8 products, which without VNNI may overflow.
        loses = manifest.precision == "int8" and not has_vnni(instruction_sets())
        exact = has_vnni(manifest.environment.get("isa") or ())
        return "proven on a processor with VNNI" if loses and exact else ""
    here = identity_of(contestant.runtime, device)
    if not here["device_name"] or not parity.get("device_name"):
        return "its proof does not say on which device"
    return next((words for key, words in CHANGES.items() if parity.get(key) != here[key]), "")


def _is_curable(contestant: Contestant) -> bool:
    """Whether `export --target igpu` writes such a file and proves it on this device."""
    runtime, model, device = contestant.runtime, contestant.model, contestant.device
    if (runtime.name, model.format) != (ENGINE, ENGINE) or kind_of(device) == "CPU":
        return False
    planned = plans("igpu", devices_of(runtime), (), details_of(runtime))
    return any(plan.precision == model.precision and alike(plan.device, device) for plan in planned)
