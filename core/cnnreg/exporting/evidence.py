"""What an export was measured to be: the sections of its card that rest on figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cnnreg.answers import softmax
from cnnreg.engines import title_of
from cnnreg.errors import CnnregError
from cnnreg.files import read_json
from cnnreg.markdown import escape, table
from cnnreg.models import digest_of
from cnnreg.registry import Registry
from cnnreg.runs import Run
from cnnreg.runs.report import ClassResult, Report, make_report, read_report
from cnnreg.specs import ModelFile
from cnnreg.texts import percent

from .parity import Parity

if TYPE_CHECKING:
    from .original import Original

LISTED = 100  # classes that are shown; of more, the ones recognised worst
WORST = 20
CONFUSIONS = 5


def report_of(original: Original) -> tuple[Report, str]:
    """Of the test split, where the run has been measured on it; else of the images compared."""
    try:
        return read_report(original.run.report), "test"
    except CnnregError:
        logits = original.logits[: len(original.labels)]
        probabilities = softmax(logits)
        report = make_report(
            original.labels,
            logits.argmax(1),
            probabilities.max(1),
            classes=original.model.contract.classes,
            epoch=0,
        )
        return report, "validation"


def accuracy(report: Report, split: str, unknown: str = "") -> str:
    """`unknown`: what must be said of these images, if anything."""
    shown = list(report.classes)
    note = ""
    if len(shown) > LISTED:
        shown = sorted(shown, key=lambda one: 1.0 if one.accuracy is None else one.accuracy)[:WORST]
        note = f"The {WORST} classes recognised worst:\n\n"
    rows = [_class_row(one) for one in shown]
    return (
        f"{percent(report.accuracy)} of {report.images:,} {split} images (top-1), "
        f"measured with the original network{unknown and f'; {unknown}'}.\n\n{note}"
        + table(("class", ">images", ">recognised", ">right when said"), rows)
    )


def _class_row(one: ClassResult) -> tuple[str, ...]:
    return (
        escape(one.name),
        f"{one.support:,}",
        percent(one.accuracy),
        percent(one.precision),
    )


def proof(registry: Registry, parities: dict[str, Parity]) -> str:
    rows = [
        (
            escape(title_of(registry, name)),
            escape(parity.device_name or parity.device),
            f"{parity.images:,}",
            percent(parity.agreement),
            f"{percent(parity.original_accuracy)} → {percent(parity.exported_accuracy)}"
            + f" on {parity.judged:,} of them" * (parity.judged != parity.images),
            f"{parity.largest_difference:.1e}",
        )
        for name, parity in parities.items()
    ]
    titles = (
        "engine",
        "device",
        ">images",
        ">same top-1",
        ">accuracy",
        ">largest difference of a logit",
    )
    return (
        "Compared with the original network on its own images before it was published:\n\n"
        + table(titles, rows)
        + _bulleted(
            f"{title_of(registry, name)}: of the classes, {lost.name} lost most: "
            f"{percent(lost.before)} → {percent(lost.after)} of its {lost.images:,} images"
            for name, parity in parities.items()
            if (lost := parity.worst_class)
        )
    )


def speed(run: Run, exported: ModelFile) -> str:
    """What `cnnreg bench` measured of this very file and its run's, or how to measure it."""
    try:
        found = read_json(run.folder / "bench.json")
        baseline, *others = found["results"]
        timed = [one for one in others if one["sha256"] == digest_of(exported.path)]
        if baseline["sha256"] != digest_of(run.best):
            timed = []  # the speed-ups are against a file that is not shown
        rows = [*map(_speed_row, (baseline, *timed))]
        about, remarks = _circumstances(found), _remarks(found, rows=(baseline, *timed))
    except (CnnregError, OSError, LookupError, TypeError, ValueError, AttributeError):
        rows, about, remarks = [], "", ""
    if len(rows) < 2:
        return (
            "Not measured before this export: `cnnreg bench RUN` does it, on the machine at hand, "
            "and exporting again by the same command tells it here."
        )
    titles = ("engine", "device", ">p50", ">p90", ">p99", ">speed-up")
    return f"{about}\n\n{table(titles, rows)}{remarks}"


def _circumstances(bench: dict[str, Any]) -> str:
    machine = bench["environment"]
    power, created = machine.get("power"), bench.get("created")
    parts = [
        f"Milliseconds a call of {bench['options']['batch']}",
        f"{bench['threads']} threads",
        str(machine["processor"]),
        *([f"on {power}"] if power else []),
        *([str(created)[:10]] if created else []),
    ]
    return f"{escape(', '.join(parts))}:"


def _remarks(bench: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """What the benchmark warned of; older versions keep nothing of it."""
    own = ((one["label"], "; ".join(one.get("warnings", ()))) for one in rows)
    return _bulleted(
        [
            *bench.get("warnings", ()),
            *(f"{label}: {said}" for label, said in own if said),
        ]
    )


def _bulleted(lines: Iterable[str]) -> str:
    """What stands below a table; nothing where there are none."""
    text = "".join(f"\n- {escape(line)}" for line in lines)
    return f"\n{text}" if text else ""


def _speed_row(result: dict[str, Any]) -> tuple[str, ...]:
    times = (f"{result[name]:.3f}" for name in ("p50", "p90", "p99"))
    names = (escape(str(result[name])) for name in ("label", "device"))
    return (*names, *times, f"{result['speedup']:.2f}x")


def limits(data: str, report: Report, split: str, unknown: str = "") -> str:
    lines = [
        "- It answers with one of its classes whatever the picture shows; it has no class for "
        "anything else, and whether its probabilities are calibrated was not tested.",
        f"- Measured only on {split} images of {escape(data)}{unknown and f': {unknown}'}. "
        "Not tested: pictures from other sources, other light, noise, compression, or made to "
        "deceive.",
    ]
    if confused := report.confusions(CONFUSIONS):
        pairs = (
            f"{escape(pair.true)} taken for {escape(pair.predicted)}, "
            f"{pair.images:,} of {pair.support:,}"
            for pair in confused
        )
        lines.append(f"- Mixed up most often: {'; '.join(pairs)}.")
    return "\n".join(lines)
