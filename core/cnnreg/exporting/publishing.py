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
from .card import FILE_NAME as CARD
from .card import Subject, model_card
from .description import in_words
from .original import Original
from .parity import DEFAULT_MAX_DROP, Parity, within
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
    if precision not in exporter.precisions:
        raise UsageError(
            f"{exporter.title} is not written in {precision}.",
            hint=f"There are {', '.join(exporter.precisions)}.",
        )
    need(exporter)
    started = perf_counter()
    root = output or original.run.exports
    target = root / f"{exporter.name}-{precision}{interface.suffix}"
    budget = DEFAULT_MAX_DROP.get(precision, 0.0) if max_drop is None else max_drop
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    with sole_writer(root):
        sweep_temporaries(root)
        if target.exists() and not is_export_alone(target):
            raise UsageError(
                "The target exists, and holds what is no part of an export.",
                where=target,
                hint="Move it away, or go elsewhere with --output.",
            )
        elsewhere = root.resolve() != original.run.exports.resolve()
        source = source_of(target)
        if elsewhere and source and not same_run(source, original.source):
            raise UsageError(
                f"The target exists, and is an export of another run, '{source.get('run')}'.",
                where=target,
                hint="Move it away, or go elsewhere with --output.",
            )
        with temporary_folder(target) as scratch:
            write = Writer(
                registry, original, exporter, precision, interface, budget, device, scratch, step
            )
            quantised = None
            if precision == "int8":
                trial, quantised = int8_within_budget(
                    registry,
                    original,
                    write,
                    refines=exporter.refines,
                    minutes=max_minutes,
                    step=step,
                )
            else:
                trial = write(Attempt(way="fast"))
            if trial.refused is None:
                folder = trial.model.path.parent
                words = in_words(trial.model.contract, interface)
                subject = Subject(registry, original, exporter, trial.model, words, trial.parity)
                write_text(folder / CARD, model_card(subject))
                manifest = replace(
                    planned(original, exporter, precision, interface),
                    model=trial.model.path.name,
                    parity={name: to_data(result) for name, result in trial.parity.items()},
                    quantised=to_data(quantised),
                )
                write_manifest(folder, manifest)
                size = sum(path.stat().st_size for path in folder.iterdir())
                publish_folder(folder, target)
    if trial.refused is not None:
        hint = _cure(precision, trial.parity[trial.refused])
        lossy = precision == "int8" and not trial.faulty
        if lossy and fp16_instead and "fp16" in exporter.precisions:
            hint = _fp16_instead(
                registry,
                original,
                exporter,
                output=output,
                max_drop=max_drop,
                interface=interface,
                device=device,
                step=step,
            )
        raise _refusal(registry, trial, hint)
    return ExportResult(
        folder=target,
        model=target / trial.model.path.name,
        format=exporter.name,
        precision=precision,
        interface=interface,
        bytes=size,
        seconds=perf_counter() - started,
        parity=trial.parity,
        quantised=quantised,
    )


def _refusal(registry: Registry, trial: Trial, hint: str) -> GateError:
    assert trial.refused is not None
    return GateError(
        f"Not published: {trial.model.format} {trial.model.precision} in "
        f"{title_of(registry, trial.refused)}: {trial.parity[trial.refused].complaint}.",
        hint=hint,
    )


def _fp16_instead(
    registry: Registry,
    original: Original,
    exporter: ExporterSpec,
    *,
    output: Path | None,
    max_drop: float | None,
    interface: Interface,
    device: str,
    step: Callable[[str], None],
) -> str:
    """Have an fp16 export of this checkpoint where int8 costs too much; says what came of it."""
    folder = (output or original.run.exports) / f"{exporter.name}-fp16{interface.suffix}"
    with suppress(CnnregError, OSError):
        if _is_there(folder, original, DEFAULT_MAX_DROP["fp16"] if max_drop is None else max_drop):
            return f"Use fp16, which is there ({folder}), or allow more with --max-drop."
    try:
        publish(
            registry,
            original,
            exporter,
            "fp16",
            output=output,
            max_drop=max_drop,
            interface=interface,
            device=device,
            step=step,
        )
    except CnnregError as error:
        return f"Allow more with --max-drop; fp16 is no way out: {error.what}"
    return f"Use fp16, published instead ({folder}), or allow more with --max-drop."


def _is_there(folder: Path, original: Original, max_drop: float) -> bool:
    """Whether an export of this checkpoint that keeps to the budget is published already."""
    manifest = read_manifest(folder)
    if manifest.source.get("checkpoint_sha256") != original.checkpoint.digest:
        return False
    try:
        return all(within(max_drop, Parity(**found).drop) for found in manifest.parity.values())
    except TypeError:  # written by another hand
        return False


def _cure(precision: Precision, parity: Parity) -> str:
    if parity.complaint in FAULTS:
        return "The network itself holds: export it without --embed and --serve-layout."
    if precision == "fp32":
        return "The network computes something the format does not carry over faithfully."
    if "accuracy drops" in parity.complaint:
        return "Keep a higher precision, or allow more with --max-drop."
    return "Keep a higher precision."


def planned(
    original: Original, exporter: ExporterSpec, precision: Precision, interface: Interface
) -> Manifest:
    """What an export will tell of itself, but for its file and its proof."""
    return Manifest(
        format=exporter.name,
        precision=precision,
        model="",
        contract=original.model.contract,
        interface=interface,
        source=original.source,
        parity={},
        environment=environment(),
        created=now(),
    )
