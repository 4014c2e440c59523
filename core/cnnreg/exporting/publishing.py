"""Publish an export: write it aside, prove it equal, and only then give it its name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from cnnreg.engines import need, title_of
from cnnreg.errors import CnnregError, GateError, UsageError
from cnnreg.files import (
    disk_errors,
    publish_folder,
    sole_writer,
    sweep_temporaries,
    temporary_folder,
    write_text,
)
from cnnreg.machine.environment import environment
from cnnreg.manifest import (
    CARD,
    Manifest,
    is_export_alone,
    read_manifest,
    same_run,
    source_of,
    write_manifest,
)
from cnnreg.registry import Registry
from cnnreg.runs import now
from cnnreg.serving import Served
from cnnreg.specs import BARE, ExporterSpec, Interface, Precision, to_data

from .budget import DEFAULT_MINUTES, Attempt, Quantised
from .card import Subject, model_card
from .order import Order
from .original import Original
from .parity import Parity, within
from .proof import FAULTS
from .quantising import Trial, int8_within_budget
from .writing import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    folder: Path
    model: Path
    format: str
    precision: Precision
    interface: Interface
    bytes: int
    seconds: float
    parity: dict[str, Parity]  # by runtime
    quantised: Quantised | None = None  # of int8
    served: Served | None = None


def publish(
    registry: Registry,
    original: Original,
    exporter: ExporterSpec,
    precision: Precision,
    *,
    output: Path | None = None,
    max_drop: float | None = None,
    max_minutes: float = DEFAULT_MINUTES,
    interface: Interface = BARE,
    device: str = "CPU",
    fp16_instead: bool = True,
    step: Callable[[str], None] = lambda text: None,
) -> ExportResult:
    """Write one format and precision, compare it, and publish it.

    `max_drop` is the accuracy budget in percentage points of top-1, which int8 is brought
    within if it can be; `max_minutes` is the longest time for each of the two slow ways;
    `device` is what files are compared on, by engines that have it.
    Raises GateError, with nothing published and an older export left as it was; where int8
    costs too much, an fp16 file is published in its stead, unless `fp16_instead` is False.
    """
    return _published(
        Order(
            registry=registry,
            original=original,
            exporter=exporter,
            precision=precision,
            output=output,
            max_drop=max_drop,
            max_minutes=max_minutes,
            interface=interface,
            device=device,
            fp16_instead=fp16_instead,
            step=step,
        )
    )


def _published(order: Order) -> ExportResult:
    exporter, precision = order.exporter, order.precision
    if precision not in exporter.precisions:
        raise UsageError(
            f"{exporter.title} is not written in {precision}.",
            hint=f"There are {', '.join(exporter.precisions)}.",
        )
    need(exporter)
    started = perf_counter()
    with disk_errors(order.root):
        order.root.mkdir(parents=True, exist_ok=True)
    with sole_writer(order.root):
        sweep_temporaries(order.root)
        _refuse_target(order)
        with temporary_folder(order.target) as scratch:
            trial, quantised = _tried(order, scratch)
            if trial.refused is None:
                folder = trial.model.path.parent
                _complete(folder, order, trial, quantised)
                size = sum(path.stat().st_size for path in folder.iterdir())
                publish_folder(folder, order.target)
    if trial.refused is not None:
        raise _refusal(order, trial, trial.refused)
    return ExportResult(
        folder=order.target,
        model=order.target / trial.model.path.name,
        format=exporter.name,
        precision=precision,
        interface=order.interface,
        bytes=size,
        seconds=perf_counter() - started,
        parity=trial.parity,
        quantised=quantised,
    )


def _refuse_target(order: Order) -> None:
    """Raises UsageError if what is there is not this run's export alone."""
    target, original = order.target, order.original
    if target.exists() and not is_export_alone(target):
        raise UsageError(
            "The target exists, and holds what somebody has added to an export or changed in it.",
            where=target,
            hint="Move it away, or go elsewhere with --output.",
        )
    elsewhere = order.root.resolve() != original.run.exports.resolve()
    source = source_of(target)
    if elsewhere and source and not same_run(source, original.source):
        raise UsageError(
            f"The target exists, and is an export of another run, '{source.get('run')}'.",
            where=target,
            hint="Move it away, or go elsewhere with --output.",
        )


def _tried(order: Order, scratch: Path) -> tuple[Trial, Quantised | None]:
    """The file that was asked for; of int8, the first that holds, or the one that lost least."""
    write = Writer(order, scratch)
    if order.precision == "int8":
        return int8_within_budget(order, write)
    return write(Attempt(way="fast")), None


def _complete(folder: Path, order: Order, trial: Trial, quantised: Quantised | None) -> None:
    """Add what an export tells of itself, the manifest last."""
    subject = Subject(order.registry, order.original, order.exporter, trial.model, trial.parity)
    write_text(folder / CARD, model_card(subject))
    manifest = replace(
        planned(order.registry, order.original, order.exporter, order.precision, order.interface),
        model=trial.model.path.name,
        parity={name: to_data(result) for name, result in trial.parity.items()},
        quantised=to_data(quantised),
    )
    write_manifest(folder, manifest)


def _refusal(order: Order, trial: Trial, engine: str) -> GateError:
    """Why, and what to do about it; an fp16 file may come of it."""
    title, parity = title_of(order.registry, engine), trial.parity[engine]
    name, precision = order.exporter.name, order.precision
    error = GateError(f"Not published: {name} {precision} in {title}: {parity.complaint}.")
    replaced = precision == "int8" and not trial.faulty and order.fp16_instead
    if replaced and "fp16" in order.exporter.precisions:
        error.hint, error.instead = _published_instead(replace(order, precision="fp16"))
    else:
        error.hint = _cure(order, parity)
    return error


def _cure(order: Order, parity: Parity) -> str:
    if parity.complaint in FAULTS:
        return "The network itself holds: export it without --embed and --serve-layout."
    if order.precision == "fp32":
        return "The network computes something the format does not carry over faithfully."
    if "accuracy drops" in parity.complaint:
        return "Keep a higher precision, or allow more with --max-drop."
    return "Keep a higher precision."


def _published_instead(order: Order) -> tuple[str, ExportResult | None]:
    """Have this fp16 export where int8 costs too much; says what came of it."""
    with suppress(CnnregError, OSError):
        if _is_there(order.target, order.original, order.budget):
            there = f"Use fp16, which is there ({order.target}), or allow more with --max-drop."
            return there, None
    try:
        instead = _published(order)
    except CnnregError as error:
        return f"Allow more with --max-drop; fp16 is no way out: {error.what}", None
    return f"Use fp16, published instead ({order.target}), or allow more with --max-drop.", instead


def _is_there(folder: Path, original: Original, max_drop: float) -> bool:
    """Whether an export of this checkpoint that keeps to the budget is published already."""
    manifest = read_manifest(folder)
    if manifest.source.get("checkpoint_sha256") != original.checkpoint.digest:
        return False
    try:
        return all(within(max_drop, Parity(**found).drop) for found in manifest.parity.values())
    except TypeError:  # written by another hand
        return False


def planned(
    registry: Registry,
    original: Original,
    exporter: ExporterSpec,
    precision: Precision,
    interface: Interface,
) -> Manifest:
    """What an export will tell of itself, but for its file and its proof."""
    entries = registry.exporters.entries
    maker = next((entry.plugin.package for entry in entries if entry.spec is exporter), "")
    return Manifest(
        format=exporter.name,
        precision=precision,
        model="",
        contract=original.model.contract,
        interface=interface,
        source={**original.source, "exporter": maker},
        parity={},
        environment=environment(),
        created=now(),
    )
