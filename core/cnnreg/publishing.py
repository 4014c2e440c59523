"""Publish an export: write it aside, prove it equal, and only then give it its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from .budget import DEFAULT_MINUTES, Attempt, Quantised
from .card import FILE_NAME as CARD
from .card import Subject, model_card
from .environment import environment
from .errors import CnnregError, GateError, PluginError, UsageError
from .files import (
    disk_errors,
    full_disk,
    publish_folder,
    sole_writer,
    sweep_temporaries,
    temporary_folder,
    write_text,
)
from .manifest import FILE_NAME, Manifest, read_manifest, write_manifest
from .models import (
    CONTRACT_KEY,
    INTERFACE_KEY,
    PRECISION_KEY,
    checkpoint_of,
    need,
    open_session,
    runtimes_for,
)
from .parity import DEFAULT_MAX_DROP, Parity, compare, logits_of
from .plugins import blaming, one_line
from .quantising import Trial, int8_within_budget
from .registry import Registry
from .runs import Run, now
from .serving import Served
from .specs import (
    BARE,
    ExporterSpec,
    ExportRequest,
    Interface,
    ModelContract,
    ModelFile,
    Precision,
    RuntimeOptions,
    Session,
    to_data,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .data import Dataset
    from .specs import Labels, Logits, Pixels
    from .training.checkpoint import Checkpoint

CALIBRATION_IMAGES = 300
VERIFICATION_IMAGES = 1000
LEAST_IMAGES = 256
SIZES = ((1.7, 2.3), (0.6, 0.9), (3.0, 1.1), (1.0, 0.4))  # of the network's own height and width
RESIZED = 4  # images tried in each of them
RESIZE_TOLERANCE = 0.05  # of the largest logit


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


@dataclass(frozen=True, slots=True)
class Original:
    """A trained run with its answers on the images that every export is compared on.

    The checkpoint is read once: a run that goes on training meanwhile changes nothing here.
    """

    run: Run
    model: ModelFile
    checkpoint: Checkpoint
    images: Pixels  # of the validation split, then of the training split if those are few
    labels: Labels  # of the former
    calibration: Pixels
    logits: Logits
    dataset: Dataset

    def build(self, weights: dict[str, Tensor] | None = None) -> nn.Module:
        """The network with the checkpoint's or other weights, new each time: it may be changed."""
        from .training.checkpoint import model_of

        assert self.model.architecture is not None, "an original is a checkpoint"
        checkpoint = replace(self.checkpoint, model=weights or self.checkpoint.model)
        return model_of(checkpoint, self.model.architecture, self.model.path)


def load_original(registry: Registry, run: Run, dataset: Dataset) -> Original:
    """The run's best checkpoint, run over its validation images (a seeded sample if many).

    Where there are few, training images make up the number whose logits are compared.
    """
    import numpy as np

    from .training.checkpoint import model_of, read_checkpoint
    from .training.inference import logits_of_model

    model = checkpoint_of(registry, run)
    assert model.architecture is not None, "a checkpoint names its architecture"
    checkpoint = read_checkpoint(model.path)
    network = model_of(checkpoint, model.architecture, model.path)
    val = dataset.val.take(VERIFICATION_IMAGES, seed=0)
    images = val.pixels
    if (few := LEAST_IMAGES - len(images)) > 0:
        images = np.concatenate([images, dataset.train.take(few, seed=0).pixels])
    return Original(
        run=run,
        model=model,
        checkpoint=checkpoint,
        images=images,
        labels=val.labels,
        calibration=dataset.train.take(CALIBRATION_IMAGES, seed=0).pixels,
        logits=logits_of_model(network, images, model.contract),
        dataset=dataset,
    )


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
    step: Callable[[str], None] = lambda text: None,
) -> ExportResult:
    """Write one format and precision, compare it, and publish it.

    `max_drop` is the accuracy budget in percentage points of top-1, which int8 is brought
    within if it can be; `max_minutes` is the longest time for each of the two slow ways;
    `device` is what files are compared on, by engines that have it.
    Raises GateError, with nothing published and an older export left as it was; where int8
    costs too much, an fp16 file is published in its stead.
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
        if target.exists() and not (target / FILE_NAME).is_file():
            raise UsageError("The target exists and is not an export.", where=target)
        with temporary_folder(target) as scratch:
            write = _Writer(
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
                write_manifest(folder, _manifest(original, trial, quantised))
                size = sum(path.stat().st_size for path in folder.iterdir())
                publish_folder(folder, target)
    if trial.refused is not None:
        hint = _cure(precision, trial.parity[trial.refused])
        if precision == "int8" and "fp16" in exporter.precisions:
            hint = _fp16_instead(
                registry,
                original,
                exporter,
                output=output,
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


@dataclass(slots=True)
class _Writer:
    """Writes and compares one file for each attempt, in folders of their own under `scratch`."""

    registry: Registry
    original: Original
    exporter: ExporterSpec
    precision: Precision
    interface: Interface
    max_drop: float
    device: str
    scratch: Path
    step: Callable[[str], None]
    count: int = 0

    def __call__(self, attempt: Attempt) -> Trial:
        self.count += 1
        folder = self.scratch / str(self.count)
        with disk_errors(folder):
            folder.mkdir()
        title = f"{self.exporter.title} {self.precision}"
        if self.count > 1:
            title += f" ({attempt.title})"
        self.step(f"writing {title}")
        exported = ModelFile(
            path=self._write(attempt, folder),
            format=self.exporter.name,
            precision=self.precision,
            contract=self.original.model.contract,
            interface=self.interface,
        )
        self.step(f"comparing {title} with the original")
        parity = _compare(
            self.registry, self.original, exported, max_drop=self.max_drop, device=self.device
        )
        return Trial(exported, parity)

    def _write(self, attempt: Attempt, folder: Path) -> Path:
        contract = self.original.model.contract
        request = ExportRequest(
            model=self.original.build(attempt.weights),
            contract=contract,
            precision=self.precision,
            folder=folder,
            metadata=describe(contract, self.precision, self.interface),
            calibration=self.original.calibration,
            interface=self.interface,
            quantisation=attempt.quantisation,
        )
        room = full_disk(self.scratch.parent, needed=self.original.model.path.stat().st_size)
        with blaming(f"Exporter '{self.exporter.name}'"), room:
            written = self.exporter.write(request)
        if not written.is_file() or written.parent != folder:
            raise PluginError(
                f"Exporter '{self.exporter.name}' did not write its file.", where=written
            )
        return written


def describe(
    contract: ModelContract, precision: Precision, interface: Interface = BARE
) -> dict[str, str]:
    """What is stored inside an exported file: the contract, and the same for human eyes."""
    takes, gives = in_words(contract, interface)
    return {
        CONTRACT_KEY: json.dumps(to_data(contract), ensure_ascii=False),
        PRECISION_KEY: precision,
        INTERFACE_KEY: json.dumps(to_data(interface)),
        "labels": json.dumps(contract.classes, ensure_ascii=False),
        "input": takes,
        "mean": json.dumps(contract.mean),
        "std": json.dumps(contract.std),
        "resize": contract.resize,
        "output": gives,
        "created": now(),
        "versions": json.dumps(environment()["versions"]),
    }


def in_words(contract: ModelContract, interface: Interface) -> tuple[str, str]:
    """What a file takes and what it gives."""
    channels, height, width = contract.input_shape
    count = "1" if interface.fixed else "N"
    if interface.embed:
        sides = f"{height}, {width}" if interface.fixed else "height, width"
        return (
            f"uint8 [{count}, {sides}, 3] RGB, as an image file holds it",
            f"float32 probabilities [{count}, classes], then logits",
        )
    colours = "RGB" if channels == 3 else "grey" if channels == 1 else f"{channels} channels"
    return (
        f"float32 [{count}, {channels}, {height}, {width}] {colours}, (pixel/255 - mean)/std",
        f"float32 logits [{count}, classes]",
    )


def _compare(
    registry: Registry, original: Original, exported: ModelFile, *, max_drop: float, device: str
) -> dict[str, Parity]:
    """In every installed runtime that opens the format, up to one in which it does not hold."""
    runtimes = runtimes_for(registry, exported.format)
    if not runtimes:
        raise GateError(
            f"No installed runtime opens {exported.format} files, so nothing can be proven."
        )
    results = {}
    for runtime in runtimes:
        try:
            place = device if device != "CPU" and device in runtime.devices() else "CPU"
            session = open_session(runtime, exported, RuntimeOptions(device=place))
            logits = logits_of(session, original.images)
            resized = _resized_alike(session, original, exported.interface)
        except Exception as error:
            raise GateError(
                f"{runtime.title} cannot run the exported model: {one_line(error)}."
            ) from error
        parity = compare(
            original.logits,
            logits,
            original.labels,
            precision=exported.precision,
            max_drop=max_drop,
        )
        results[runtime.name] = replace(parity, device=place)
        if not parity.holds:
            return results
        if not resized:
            raise GateError(
                f"Not published: {exported.format} {exported.precision} resizes pictures otherwise "
                f"than cnnreg does, in {runtime.title}.",
            )
    return results


def _refusal(registry: Registry, trial: Trial, hint: str) -> GateError:
    assert trial.refused is not None
    return GateError(
        f"Not published: {trial.model.format} {trial.model.precision} in "
        f"{registry.runtimes[trial.refused].title}: {trial.parity[trial.refused].complaint}.",
        hint=hint,
    )


def _fp16_instead(
    registry: Registry,
    original: Original,
    exporter: ExporterSpec,
    *,
    output: Path | None,
    interface: Interface,
    device: str,
    step: Callable[[str], None],
) -> str:
    """Have an fp16 export of this checkpoint where int8 costs too much; says what came of it."""
    folder = (output or original.run.exports) / f"{exporter.name}-fp16{interface.suffix}"
    with suppress(CnnregError):
        if read_manifest(folder).source["checkpoint_sha256"] == original.checkpoint.digest:
            return f"Use fp16, which is there ({folder}), or allow more with --max-drop."
    try:
        publish(
            registry,
            original,
            exporter,
            "fp16",
            output=output,
            interface=interface,
            device=device,
            step=step,
        )
    except CnnregError as error:
        return f"Allow more with --max-drop; fp16 is no way out: {error.what}"
    return f"Use fp16, published instead ({folder}), or allow more with --max-drop."


def _resized_alike(session: Session, original: Original, interface: Interface) -> bool:
    """Whether a self-contained file answers to pictures of other sizes as to resized ones."""
    if not interface.embed or interface.fixed:
        return True
    import numpy as np

    from .images import fit, from_pixels

    contract = original.model.contract
    channels, height, width = contract.input_shape
    for pixels, (down, across) in zip(original.images, SIZES * RESIZED, strict=False):
        size = (max(1, round(across * width)), max(1, round(down * height)))
        picture = from_pixels(pixels, channels).resize(size)
        whole = from_pixels(np.array(picture).reshape(size[1], size[0], channels), 3)
        given = session.infer(np.array(whole)[None])
        wanted = session.infer(session.prepare(fit(picture, height, width, contract.resize)[None]))
        # Pixels may differ by one level, where Pillow's arithmetic rounds the other way.
        if np.abs(given - wanted).max() > RESIZE_TOLERANCE * np.abs(original.logits).max():
            return False
    return True


def _cure(precision: Precision, parity: Parity) -> str:
    if precision == "fp32":
        return "The network computes something the format does not carry over faithfully."
    if "accuracy drops" in parity.complaint:
        return "Keep a higher precision, or allow more with --max-drop."
    return "Keep a higher precision."


def _manifest(original: Original, trial: Trial, quantised: Quantised | None) -> Manifest:
    exported = trial.model
    return Manifest(
        format=exported.format,
        precision=exported.precision,
        model=exported.path.name,
        contract=exported.contract,
        interface=exported.interface,
        source={"run": original.run.name, "checkpoint_sha256": original.checkpoint.digest},
        parity={name: to_data(result) for name, result in trial.parity.items()},
        quantised=to_data(quantised),
        environment=environment(),
        created=now(),
    )
