"""The model card of an export: what it is, what it was proven to be, and what it is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

from cnnreg import __version__
from cnnreg.data.config import dataset_of
from cnnreg.eval_data import UNKNOWN
from cnnreg.machine.environment import environment
from cnnreg.markdown import code, escape, table
from cnnreg.recipe import Recipe, label
from cnnreg.registry import Registry
from cnnreg.runs import PRETRAINED, Run
from cnnreg.runs.overview import changes
from cnnreg.specs import ExporterSpec, ModelFile

from . import evidence
from .description import in_words
from .parity import Parity

if TYPE_CHECKING:
    from .original import Original

MODEL = "{model}"  # in an exporter's example
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
    parity: dict[str, Parity]  # by runtime

    @property
    def run(self) -> Run:
        return self.original.run


def model_card(subject: Subject) -> str:
    """Markdown; a section that has nothing to tell is left out."""
    contract = subject.exported.contract
    report, split = evidence.report_of(subject.original)
    data = subject.original.data_label or subject.original.dataset.name
    unknown = UNKNOWN if subject.run.config.imported else ""
    sections = {
        "The network": _network(subject),
        "Input and output": _interface(subject),
        "Data": _data(subject),
        "Training": _training(subject),
        "Accuracy": evidence.accuracy(report, split, unknown),
        "Proof": evidence.proof(subject.registry, subject.parity),
        "Speed": evidence.speed(subject.run, subject.exported),
        "Limits": evidence.limits(data, report, split, unknown),
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
    spec = subject.original.architecture
    contract = subject.exported.contract
    parameters, macs = subject.original.cost
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
    takes, gives = map(code, in_words(contract, subject.exported.interface))
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
        purpose = "To measure it" if subject.run.config.imported else "For training"
        lines.append(f"- {purpose}, pictures of another shape were {resizing}")
    lines.append("- Labels, in the order of the output: in the file itself and in `manifest.json`")
    return "\n".join(lines)


def _data(subject: Subject) -> str:
    data = subject.run.config.data
    if not data.name:
        return "The weights were imported without their training data."
    spec = dataset_of(subject.registry, data.name)
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
        source = "published weights" if config.weights == PRETRAINED else Path(config.weights).name
        lines.append(f"- Started from: {escape(source)}")
    told = {"optimizer", "learning_rate", "schedule", "batch_size", "epochs"}
    other = changes(recipe, Recipe())
    rest = [f"{label(name)} {own}" for name, (own, _) in other.items() if name not in told]
    if rest:
        lines.append(f"- Also: {escape(', '.join(rest))}")
    return "\n".join(lines)


def _use(subject: Subject) -> str:
    with_cnnreg = "In this folder: `cnnreg predict . picture.jpg`"
    example = subject.exporter.example
    interface = subject.exported.interface
    if not example or not interface.embed or interface.fixed:  # it feeds pictures of any size
        return with_cnnreg
    lines = indent(example.replace(MODEL, repr(subject.exported.path.name)).rstrip(), "    ")
    opaque = "That is for opaque pictures of 8 bits; `cnnreg predict` takes others too."
    return f"{with_cnnreg}\n\nWithout cnnreg:\n\n{lines}\n\n{opaque}"


def _versions(subject: Subject) -> str:
    here = environment()
    rows = [("Python", here["python"]), *here["versions"].items()]
    return (
        table(("package", "version"), [(escape(name), escape(text)) for name, text in rows])
        + f"\n\nCheckpoint sha256: `{subject.original.checkpoint.digest}`"
    )


def _sentence(text: str) -> str:
    return f"{escape(text.rstrip('.'))}."


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
