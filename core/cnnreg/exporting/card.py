"""The model card of an export: what it is, what it was proven to be, and what it is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from textwrap import indent
from typing import TYPE_CHECKING, Any

from cnnreg import __version__
from cnnreg.errors import CnnregError
from cnnreg.files import read_json
from cnnreg.machine.environment import environment
from cnnreg.markdown import code, escape, table
from cnnreg.models import title_of
from cnnreg.recipe import Recipe, label
from cnnreg.registry import Registry
from cnnreg.runs import Run
from cnnreg.runs.overview import changes
from cnnreg.runs.report import ClassResult, Report, make_report, read_report
from cnnreg.specs import ExporterSpec, ModelFile

from .parity import Parity, softmax

if TYPE_CHECKING:
    from .original import Original

FILE_NAME = "model-card.md"
MODEL = "{model}"  # in an exporter's example
LISTED = 100  # classes that are shown; of more, the ones recognised worst
WORST = 20
CONFUSIONS = 5
RESIZED = {
    "crop": "cut to the network's (crop)",
    "squash": "stretched to the network's (squash)",
    "letterbox": "padded with grey to the network's (letterbox)",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that a card tells of."""

    registry: Registry
    original: Original
    exporter: ExporterSpec
    exported: ModelFile
    contract: tuple[str, str]  # what the file takes and gives, in words
    parity: dict[str, Parity]  # by runtime

    @property
    def run(self) -> Run:
        return self.original.run


def model_card(subject: Subject) -> str:
    """Markdown; a section that has nothing to tell is left out."""
    contract = subject.exported.contract
    report, split = _report(subject)
    sections = {
        "The network": _network(subject),
        "Input and output": _interface(subject),
        "Data": _data(subject),
        "Training": _training(subject),
        "Accuracy": _accuracy(report, split),
        "Proof": _proof(subject),
        "Speed": _speed(subject),
        "Limits": _limits(subject, report, split),
        "Use": _use(subject),
        "Versions": _versions(subject),
    }
    on = f" on {escape(subject.original.data_label)}" if contract.dataset else ""
    title = f"# {escape(contract.architecture)}{on}"
    about = (
        f"An image classifier for {contract.num_classes} classes as "
        f"{escape(subject.exporter.title)}, {subject.exported.precision}. "
        f"Written by cnnreg {__version__} from the run {code(subject.run.name)}."
    )
    parts = [f"## {name}\n\n{text}" for name, text in sections.items() if text]
    return "\n\n".join([title, about, *parts]) + "\n"


def _network(subject: Subject) -> str:
    spec = subject.original.model.architecture
    assert spec is not None, "an original is a checkpoint"
    contract = subject.exported.contract
    parameters, macs = subject.original.cost()
    channels, height, width = contract.input_shape
    form = f" In its {contract.form} form: {spec.small_form}." if contract.form == "small" else ""
    return "\n".join(
        [
            f"{_sentence(spec.summary)}{escape(form)}",
            "",
            f"- Paper: [{escape(spec.paper.title)}](<{spec.paper.url}>), {spec.paper.year}",
            f"- Parameters: {parameters:,}",
            f"- Multiply-accumulates of one image: {macs:,}",
            f"- Network input: {channels} x {height} x {width}",
            f"- Implementation: {escape(contract.plugin)}, licence {escape(spec.licence)}",
        ]
    )


def _interface(subject: Subject) -> str:
    contract = subject.exported.contract
    takes, gives = map(code, subject.contract)
    lines = [f"- Takes: {takes}", f"- Gives: {gives}"]
    interface = subject.exported.interface
    if interface.embed:
        resized = "" if interface.fixed else ", resizing"
        lines.append(f"- Inside the file: all preprocessing{resized} and softmax")
    else:
        lines.append(f"- Mean {_numbers(contract.mean)}, deviation {_numbers(contract.std)}")
    resizing = RESIZED[contract.resize]
    if interface.embed and not interface.fixed:
        lines.append(f"- Pictures of another shape are {resizing}")
    else:
        lines.append(f"- For training, pictures of another shape were {resizing}")
    lines.append("- Labels, in the order of the output: in the file itself and in `manifest.json`")
    return "\n".join(lines)


def _data(subject: Subject) -> str:
    data = subject.run.config.data
    if not data.name:
        return "The weights were imported without their training data."
    spec = subject.registry.datasets[data.name]
    lines = [
        f"{escape(data.label)}: {_sentence(spec.summary)}",
        "",
        f"- Licence: {escape(spec.licence)}",
    ]
    if spec.url:
        lines.append(f"- Source: <{spec.url}>")
    lines.append(f"- Fingerprint: `{subject.run.config.data_fingerprint[:16]}`")
    return "\n".join(lines)


def _training(subject: Subject) -> str:
    config, result = subject.run.config, subject.run.result
    if imported := config.imported:
        return (
            f"- Trained elsewhere: imported from {escape(imported['file'])}, sha256 "
            f"`{imported['sha256'][:16]}`"
        )
    recipe = config.recipe
    lines = [
        f"- {escape(recipe.optimizer)}, learning rate {recipe.learning_rate:g} "
        f"({recipe.schedule}), batch size {recipe.batch_size}, epochs at most: {recipe.epochs}"
    ]
    if result:
        lines.append(f"- Best epoch by validation: {result['best_epoch']} of {result['epochs']}")
    if config.weights:
        source = (
            "published weights" if config.weights == "pretrained" else Path(config.weights).name
        )
        lines.append(f"- Started from: {escape(source)}")
    told = {"optimizer", "learning_rate", "schedule", "batch_size", "epochs"}
    other = changes(recipe, Recipe())
    rest = [f"{label(name)} {own}" for name, (own, _) in other.items() if name not in told]
    if rest:
        lines.append(f"- Also: {escape(', '.join(rest))}")
    return "\n".join(lines)


def _report(subject: Subject) -> tuple[Report, str]:
    """Of the test split, where the run has been measured on it; else of the images compared."""
    original = subject.original
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


def _accuracy(report: Report, split: str) -> str:
    shown = list(report.classes)
    note = ""
    if len(shown) > LISTED:
        shown = sorted(shown, key=lambda one: 1.0 if one.accuracy is None else one.accuracy)[:WORST]
        note = f"The {WORST} classes recognised worst:\n\n"
    rows = [_class_row(one) for one in shown]
    return (
        f"{_percent(report.accuracy)} of {report.images:,} {split} images (top-1), "
        f"measured with the original network.\n\n{note}"
        + table(("class", ">images", ">recognised", ">right when said"), rows)
    )


def _class_row(one: ClassResult) -> tuple[str, ...]:
    return (
        escape(one.name),
        f"{one.support:,}",
        _percent(one.accuracy),
        _percent(one.precision),
    )


def _proof(subject: Subject) -> str:
    rows = [
        (
            escape(title_of(subject.registry, name)),
            f"{parity.images:,}",
            _percent(parity.agreement),
            f"{_percent(parity.original_accuracy)} → {_percent(parity.exported_accuracy)}"
            + f" on {parity.judged:,} of them" * (parity.judged != parity.images),
            f"{parity.largest_difference:.1e}",
        )
        for name, parity in subject.parity.items()
    ]
    titles = ("engine", ">images", ">same top-1", ">accuracy", ">largest difference of a logit")
    return (
        "Compared with the original network on its own images before it was published:\n\n"
        + table(titles, rows)
    )


def _speed(subject: Subject) -> str:
    """What `cnnreg bench` measured of this export of the run, or how to measure it."""
    try:
        found = read_json(subject.run.folder / "bench.json")
        exported = subject.exported
        name = f"{exported.format}-{exported.precision}{exported.interface.suffix}"
        baseline, *others = found["results"]
        timed = [one for one in others if _export_of(subject.run, one["model"]) == name]
        if _export_of(subject.run, baseline["model"]) is None:
            timed = []  # the speed-ups are against a file that is not shown
        rows = [*map(_speed_row, (baseline, *timed))]
        about = (
            f"Milliseconds a call of {found['options']['batch']}, {found['threads']} threads, "
            f"{escape(str(found['environment']['processor']))}:"
        )
    except (CnnregError, KeyError, TypeError, ValueError):  # none, or a damaged one
        rows, about = [], ""
    if len(rows) < 2:
        return "Not measured yet: `cnnreg bench RUN` does it, on the machine at hand."
    titles = ("engine", ">p50", ">p90", ">p99", ">speed-up")
    return f"{about}\n\n{table(titles, rows)}"


def _export_of(run: Run, model: str) -> str | None:
    """Which export of the run's a timed file was: "" its checkpoint, None another run's.

    By the names of the folders: a run may have been moved since, also from Windows.
    """
    parts, own = PureWindowsPath(model).parts, run.folder.resolve().name
    if parts[-2:] == (own, run.best.name):
        return ""
    return parts[-2] if parts[-4:-2] == (own, run.exports.name) else None


def _speed_row(result: dict[str, Any]) -> tuple[str, ...]:
    times = (f"{result[name]:.3f}" for name in ("p50", "p90", "p99"))
    return (escape(str(result["label"])), *times, f"{result['speedup']:.2f}x")


def _limits(subject: Subject, report: Report, split: str) -> str:
    data = subject.original.data_label or subject.original.dataset.name
    lines = [
        "- It answers with one of its classes whatever the picture shows; it has no class for "
        "anything else, and whether its probabilities are calibrated was not tested.",
        f"- Measured only on {split} images of {escape(data)}. Not tested: pictures from other "
        "sources, other light, noise, compression, or made to deceive.",
    ]
    if confused := report.confusions(CONFUSIONS):
        pairs = (
            f"{escape(pair.true)} taken for {escape(pair.predicted)}, "
            f"{pair.images:,} of {pair.support:,}"
            for pair in confused
        )
        lines.append(f"- Mixed up most often: {'; '.join(pairs)}.")
    return "\n".join(lines)


def _use(subject: Subject) -> str:
    with_cnnreg = "In this folder: `cnnreg predict . picture.jpg`"
    example = subject.exporter.example
    interface = subject.exported.interface
    if not example or not interface.embed or interface.fixed:  # it feeds pictures of any size
        return with_cnnreg
    lines = indent(example.replace(MODEL, repr(subject.exported.path.name)).rstrip(), "    ")
    return f"{with_cnnreg}\n\nWithout cnnreg:\n\n{lines}"


def _versions(subject: Subject) -> str:
    here = environment()
    rows = [("Python", here["python"]), *here["versions"].items()]
    return (
        table(("package", "version"), [(escape(name), escape(text)) for name, text in rows])
        + f"\n\nCheckpoint sha256: `{subject.original.checkpoint.digest}`"
    )


def _sentence(text: str) -> str:
    return f"{escape(text.rstrip('.'))}."


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
