"""One attempt at a file: written by the exporter into a folder of its own, then compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cnnreg.errors import PluginError
from cnnreg.files import disk_errors, full_disk
from cnnreg.manifest import is_clutter
from cnnreg.plugins import blaming
from cnnreg.registry import Registry
from cnnreg.specs import ExporterSpec, ExportRequest, Interface, ModelFile, Precision

from .budget import Attempt
from .description import describe
from .original import Original
from .parity import Parity
from .proof import prove
from .quantising import Trial


@dataclass(slots=True)
class Writer:
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
        parity = self._compared(exported, self.original)
        settled = all(found.settles(self.max_drop) for found in parity.values())
        if self.precision == "int8" and not settled:
            more = self.original.with_more_images
            if more is not self.original:
                self.step(f"comparing {title} on {len(more.images):,} images: near its budget")
                parity = self._compared(exported, more)
        return Trial(exported, parity)

    def _compared(self, exported: ModelFile, original: Original) -> dict[str, Parity]:
        return prove(self.registry, original, exported, max_drop=self.max_drop, device=self.device)

    def _write(self, attempt: Attempt, folder: Path) -> Path:
        contract = self.original.model.contract
        request = ExportRequest(
            model=self.original.build(attempt.weights),
            contract=contract,
            precision=self.precision,
            folder=folder,
            metadata=describe(contract, self.precision, self.interface, self.original.split),
            calibration=self.original.calibration,
            interface=self.interface,
            quantisation=attempt.quantisation,
            kept={} if attempt.weights else self.original.kept,
        )
        room = full_disk(self.scratch.parent, needed=self.original.model.path.stat().st_size)
        name = f"Exporter '{self.exporter.name}'"
        with blaming(name), room:
            written = self.exporter.write(request)
        if not isinstance(written, Path):
            raise PluginError(f"{name} returned {type(written).__name__}, a Path is needed.")
        if not (written.is_file() and written.parent == folder):
            raise PluginError(f"{name} did not write its file: {written!r:.200}.")
        if odd := next((p for p in folder.iterdir() if p.is_dir() or is_clutter(p.name)), None):
            raise PluginError(f"{name} wrote what is no plain, visible file.", where=odd)
        return written
