"""An engine: which files it opens, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .architecture import ArchitectureSpec
from .checks import check, check_functions, check_kinds, check_line, check_name, check_texts
from .contract import ModelContract
from .export import BARE, Interface
from .types import Precision

if TYPE_CHECKING:
    from .types import Logits, Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model on disk, checked and ready for a runtime."""

    path: Path  # the checkpoint, the .onnx, the .xml
    format: str  # "checkpoint" or an exporter's name
    precision: Precision
    contract: ModelContract
    architecture: ArchitectureSpec | None = None  # set for checkpoints, which need it
    interface: Interface = BARE
    split: Any = None  # what it says of how its run held images out, unchecked

    @property
    def label(self) -> str:
        interface = self.interface.suffix.replace("-", " ")
        return f"{self.contract.architecture} {self.format} {self.precision}{interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    device: str = "CPU"
    threads: int | None = None  # None: the runtime's own choice
    batch: int | None = None  # fix the batch size; None: any
    note: Callable[[str], None] = lambda text: None  # a remark for the user


class Session(Protocol):
    """A loaded model. `prepare` is not part of inference time, `infer` is.

    Where it opens self-contained files, `probabilities(inputs)` gives the other output
    [N, classes]; it is compared with the logits when such a file is exported.
    """

    def prepare(self, images: Pixels) -> Any:
        """Images [N, H, W, C] as this engine's input: resized, or any for a self-contained file."""

    def infer(self, inputs: Any) -> Logits:
        """Run the network once; returns when the logits [N, classes] are in memory."""

    def describe(self) -> Mapping[str, str]:
        """The settings in effect: device, threads, and what else there is to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSpec:
    """An engine that opens the formats it names."""

    name: str
    title: str
    formats: tuple[str, ...]
    open: Callable[[ModelFile, RuntimeOptions], Session]
    devices: Callable[[], Mapping[str, str]]  # device id -> its full name
    metadata: Callable[[Path], Mapping[str, str]] | None = None  # texts stored in a bare file
    details: Callable[[], Mapping[str, Mapping[str, str]]] | None = None  # of each device
    requires: tuple[str, ...] = ()  # modules that must be importable
    extra: str = ""  # the extra of cnn-registry that brings them; empty: packages called so

    def __post_init__(self) -> None:
        check_name("runtime", self.name)
        check_line(self.name, "title", self.title)
        check_functions(self.name, open=self.open, devices=self.devices)
        for optional in ("metadata", "details"):
            if (function := getattr(self, optional)) is not None:
                check_functions(self.name, **{optional: function})
        check_texts(self.name, formats=self.formats, requires=self.requires)
        check(bool(self.formats), f"{self.name}: formats must name one at least")
        check_kinds(self.name, extra=(self.extra, str))
