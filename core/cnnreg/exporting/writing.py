"""One attempt at a file: written by the exporter into a folder of its own, then compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnreg.errors import PluginError
from cnnreg.files import disk_errors, full_disk
from cnnreg.manifest import is_clutter
from cnnreg.plugins import blaming
from cnnreg.specs import ExportRequest, ModelFile

from .budget import Attempt
from .description import describe
from .order import Order
from .original import Original
from .parity import Parity
from .proof import prove
from .quantising import Trial


@dataclass(slots=True)
class Writer:
    """Writes and compares one file for each attempt, in folders of their own under `scratch`."""

    order: Order
    scratch: Path
    count: int = 0

    def __call__(self, attempt: Attempt) -> Trial:
        order, original = self.order, self.order.original
        self.count += 1
        folder = self.scratch / str(self.count)
        with disk_errors(folder):
            folder.mkdir()
        title = f"{order.exporter.title} {order.precision}"
        if self.count > 1:
            title += f" ({attempt.title})"
        order.step(f"writing {title}")
        exported = ModelFile(
            path=self._write(attempt, folder),
            format=order.exporter.name,
            precision=order.precision,
            contract=original.model.contract,
            interface=order.interface,
        )
        order.step(f"comparing {title} with the original")
        parity = self._compared(exported, original)
        settled = all(found.settles(order.budget) for found in parity.values())
        if order.precision == "int8" and not settled:
            more = original.with_more_images
            if more is not original:
                order.step(f"comparing {title} on {len(more.images):,} images: near its budget")
                parity = self._compared(exported, more)
        return Trial(exported, parity)

    def _compared(self, exported: ModelFile, original: Original) -> dict[str, Parity]:
        order = self.order
        return prove(order.registry, original, exported, max_drop=order.budget, device=order.device)

    def _write(self, attempt: Attempt, folder: Path) -> Path:
        order, original = self.order, self.order.original
        contract = original.model.contract
        request = ExportRequest(
            model=original.build(attempt.weights),
            contract=contract,
            precision=order.precision,
            folder=folder,
            metadata=describe(contract, order.precision, order.interface, original.split),
            calibration=original.calibration,
            interface=order.interface,
            quantisation=attempt.quantisation,
            kept={} if attempt.weights else original.kept,
        )
        room = full_disk(self.scratch.parent, needed=original.model.path.stat().st_size)
        name = f"Exporter '{order.exporter.name}'"
        with blaming(name), room:
            written = order.exporter.write(request)
        if not isinstance(written, Path):
            raise PluginError(f"{name} returned {type(written).__name__}, a Path is needed.")
        if not (written.is_file() and written.parent == folder):
            raise PluginError(f"{name} did not write its file: {written!r:.200}.")
        if odd := next((p for p in folder.iterdir() if p.is_dir() or is_clutter(p.name)), None):
            raise PluginError(f"{name} wrote what is no plain, visible file.", where=odd)
        return written
