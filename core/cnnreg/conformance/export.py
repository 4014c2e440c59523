"""Does an architecture survive every file format? Small images, every runtime."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cnnreg.engines import missing, open_session, runtimes_for
from cnnreg.exporting.parity import compare
from cnnreg.registry import Registry
from cnnreg.specs import (
    ArchitectureSpec,
    ExporterSpec,
    ExportRequest,
    ModelContract,
    ModelFile,
    Precision,
    RuntimeOptions,
)

from .check import Check, ViolationError
from .computing import build_small

if TYPE_CHECKING:
    import torch

    from cnnreg.specs import Logits, Pixels

SIZE = 32
CLASSES = 10
IMAGES = 7  # split unevenly below, so that a batch size baked into a file is noticed


def export_checks(registry: Registry) -> list[Check[ArchitectureSpec]]:
    """One check for each format whose packages are installed."""
    subjects = _Subjects()
    return [
        Check(
            name=f"export to {exporter.title}",
            run=partial(_export_is_equal, registry, exporter, subjects),
        )
        for exporter in registry.exporters.specs
        if not missing(exporter.requires)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """A network to be written, and what it answers itself."""

    spec: ArchitectureSpec
    model: torch.nn.Module
    contract: ModelContract
    pixels: Pixels
    logits: Logits
    kept: dict[str, Any] = field(default_factory=dict)


class _Subjects:
    """The network that was asked for last: what one format keeps of it serves the next, as in
    export, where each gets a network of its own."""

    def __init__(self) -> None:
        self._last: _Subject | None = None

    def of(self, spec: ArchitectureSpec) -> _Subject:
        if self._last is None or self._last.spec is not spec:
            self._last = None  # two large networks need not be in memory at once
            self._last = _subject(spec)
        return self._last


def _subject(spec: ArchitectureSpec) -> _Subject:
    import numpy as np

    from cnnreg.networks.inference import logits_of_model

    contract = _contract(spec)
    model = build_small(spec, size=contract.input_shape[1]).eval()
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (IMAGES, *contract.input_shape[1:], 3), dtype=np.uint8)
    logits = logits_of_model(deepcopy(model), pixels, contract)
    return _Subject(spec=spec, model=model, contract=contract, pixels=pixels, logits=logits)


def _export_is_equal(
    registry: Registry, exporter: ExporterSpec, subjects: _Subjects, spec: ArchitectureSpec
) -> str:
    import numpy as np

    subject = subjects.of(spec)
    logits, pixels = subject.logits, subject.pixels
    precision: Precision = "fp32" if "fp32" in exporter.precisions else exporter.precisions[0]
    # Rounding moves the classes of an untrained network: of other precisions any answer will do.
    rule: Precision = "fp32" if precision == "fp32" else "int8"
    differences = []
    with TemporaryDirectory() as folder:
        exported = ModelFile(
            path=exporter.write(_request(subject, precision, Path(folder))),
            format=exporter.name,
            precision=precision,
            contract=subject.contract,
        )
        for runtime in runtimes_for(registry, exporter.name):
            session = open_session(runtime, exported, RuntimeOptions(threads=1))
            parts = [session.infer(session.prepare(part)) for part in (pixels[:2], pixels[2:])]
            labels = logits.argmax(1)
            answers = np.concatenate(parts)
            parity = compare(logits, answers, labels, precision=rule, max_drop=100.0)
            if not parity.holds:
                raise ViolationError(f"in {runtime.title} {parity.complaint}")
            differences.append(f"{parity.largest_difference:.1e} in {runtime.title}")
            del session  # Windows cannot remove the folder while an engine holds its files
    if not differences:
        raise ViolationError("no installed runtime opens it")
    return f"largest logit difference of {precision}: {', '.join(differences)}"


def _contract(spec: ArchitectureSpec) -> ModelContract:
    size = max(spec.min_size, SIZE)
    options = spec.options(num_classes=CLASSES, input_shape=(3, size, size))
    return ModelContract(
        architecture=spec.name,
        plugin="",
        num_classes=CLASSES,
        input_shape=options.input_shape,
        form=options.form,
        dropout=None,
        classes=tuple(f"class {number}" for number in range(CLASSES)),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        resize="squash",
        dataset="noise",
    )


def _request(subject: _Subject, precision: Precision, folder: Path) -> ExportRequest:
    return ExportRequest(
        model=deepcopy(subject.model),
        contract=subject.contract,
        precision=precision,
        folder=folder,
        metadata={},
        calibration=subject.pixels,
        kept=subject.kept,
    )
