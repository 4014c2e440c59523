"""One file that is asked for, and all that decides how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnnreg.registry import Registry
from cnnreg.specs import ExporterSpec, Interface, Precision

from .parity import DEFAULT_MAX_DROP

if TYPE_CHECKING:
    from .original import Original


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What `publish` was called with, as it says there."""

    registry: Registry
    original: Original
    exporter: ExporterSpec
    precision: Precision
    output: Path | None
    max_drop: float | None
    max_minutes: float
    interface: Interface
    device: str
    fp16_instead: bool
    step: Callable[[str], None]

    @property
    def root(self) -> Path:
        """The folder that all exports of the run go to."""
        return self.output or self.original.run.exports

    @property
    def target(self) -> Path:
        return self.root / f"{self.exporter.name}-{self.precision}{self.interface.suffix}"

    @property
    def budget(self) -> float:
        """Of accuracy, in points of top-1; of fp16 one image at least, if none was asked for."""
        if self.max_drop is not None:
            return self.max_drop
        usual = DEFAULT_MAX_DROP.get(self.precision, 0.0)
        # Only int8 costs what few images could hide: others are two nearly level classes apart.
        few = self.precision in ("fp16", "bf16")
        return max(usual, 100 / len(self.original.labels)) if few else usual
