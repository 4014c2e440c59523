"""A format: what it is asked to write, and in which form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from .checks import check_choices, check_functions, check_kinds, check_line, check_name, check_texts
from .contract import ModelContract
from .types import Precision

if TYPE_CHECKING:
    import torch

    from .types import Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What a file takes and gives, and in which shapes.

    The bare network takes normalised float32 [N, C, H, W] and gives logits [N, classes].
    A self-contained file takes uint8 RGB [N, H, W, 3] of any height and width and gives
    probabilities, then logits. A fixed one takes a single image of the network's own size
    at a time, which is what GPUs want.
    """

    embed: bool = False
    fixed: bool = False

    @classmethod
    def from_data(cls, data: Any) -> Interface:
        """Back from JSON. Raises KeyError or TypeError for anything else."""
        if not all(isinstance(data[name], bool) for name in ("embed", "fixed")):
            raise TypeError(f"expected true or false, not {data!r:.40}")
        return cls(embed=data["embed"], fixed=data["fixed"])

    @property
    def suffix(self) -> str:
        """Of an export's folder."""
        return "-embed" * self.embed + "-fixed" * self.fixed


BARE = Interface()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """How an int8 file is made: fast as it stands, slower and closer to the original otherwise."""

    exact_bias: bool = False  # each layer's mean error is measured, and taken off its bias
    float_layers: tuple[str, ...] = ()  # convolutions and linear layers, as the network names them


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """All that writing a file needs. `model` is in evaluation mode, float32, on the CPU."""

    model: torch.nn.Module
    contract: ModelContract
    precision: Precision
    folder: Path  # exists and is empty; everything written goes here
    metadata: Mapping[str, str]  # to be stored inside the file
    calibration: Pixels  # training images after the evaluation resize, for int8
    interface: Interface = BARE
    quantisation: Quantisation = Quantisation()  # for int8
    kept: MutableMapping[str, Any] = field(default_factory=dict)
    """What exporters made of this very network for a file before, and need not make again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSpec:
    """`write(request)` writes the model and returns its main file, inside request.folder.

    With `refines` its int8 heeds request.quantisation, and raises GateError where it cannot.
    """

    name: str
    title: str
    summary: str
    precisions: tuple[Precision, ...]
    write: Callable[[ExportRequest], Path]
    requires: tuple[str, ...] = ()  # modules that must be importable
    extra: str = ""  # the extra of cnn-registry that brings them; empty: packages called so
    refines: bool = False
    example: str = ""  # Python that uses a self-contained file, here called {model}; runs alone

    def __post_init__(self) -> None:
        check_name("exporter", self.name)
        check_line(self.name, "title", self.title)
        check_line(self.name, "summary", self.summary)
        check_functions(self.name, write=self.write)
        check_choices(self.name, get_args(Precision), precisions=self.precisions)
        check_texts(self.name, requires=self.requires)
        check_kinds(
            self.name,
            extra=(self.extra, str),
            refines=(self.refines, bool),
            example=(self.example, str),
        )
