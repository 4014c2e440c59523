"""What plugins offer and what the stages hand to each other: data only, free of torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from .recipe import CHOICES, Recipe

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]  # [N, H, W, C], 0 to 255
    Labels = NDArray[np.int64]  # [N]
    Logits = NDArray[np.float32]  # [N, classes]

Shape = tuple[int, int, int]
"""Channels, height, width."""

Form = Literal["standard", "small"]
"""`small` keeps the resolution that an ImageNet stem would throw away."""

Resize = Literal["crop", "squash", "letterbox"]
"""How an image of another shape becomes the model's: cut, stretched, or padded."""

Precision = Literal["fp32", "fp16", "bf16", "int8"]

Renames = tuple[tuple[str, str], ...]
"""Regular expressions and what to put in their place, as for `re.sub`."""

SMALL_BELOW = 64
"""Images whose shorter side is under this get an architecture's small form, unless it says."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def check_name(kind: str, name: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"{kind} name {name!r} must be 1 to 64 of a-z, 0-9, '_' or '-', "
            "starting with a letter or digit"
        )


def _check_kinds(name: str, **fields: tuple[Any, type]) -> None:
    """Of a plugin's spec, whose author may have no type checker."""
    for field_name, (value, kind) in fields.items():
        _check(
            isinstance(value, kind),
            f"{name}: {field_name} must be a {kind.__name__}: {value!r:.60}",
        )


def _check_line(name: str, field_name: str, text: Any) -> None:
    """What stands in a table."""
    fits = isinstance(text, str) and text.strip() and text.isprintable()
    _check(bool(fits), f"{name}: {field_name} must be a line of text, not {text!r:.60}")


def _check_shape(name: str, shape: Any) -> None:
    whole = isinstance(shape, tuple) and all(type(size) is int and size > 0 for size in shape)
    _check(
        whole and len(shape) == 3,
        f"{name}: a shape is (channels, height, width), not {shape!r:.60}",
    )


def _check(condition: bool, complaint: str) -> None:
    if not condition:
        raise ValueError(complaint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    title: str
    year: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """What a builder must honour."""

    num_classes: int
    input_shape: Shape
    form: Form = "standard"
    dropout: float | None = None  # None: the paper's own

    def __post_init__(self) -> None:
        _check(self.num_classes >= 2, f"num_classes must be at least 2, not {self.num_classes}")
        _check(min(self.input_shape) >= 1, f"input_shape {self.input_shape} must be positive")
        _check(self.form in get_args(Form), f"form {self.form!r} is not one of {get_args(Form)}")
        _check(self.dropout is None or 0 <= self.dropout < 1, f"dropout {self.dropout} not in 0..1")

    @property
    def in_channels(self) -> int:
        return self.input_shape[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchitectureSpec:
    """One network: what it is, what it costs, and how to build it.

    `build` returns a module that maps float images [N, C, H, W] to logits
    [N, num_classes]. In training mode it may return a tuple, the logits first
    and then those of auxiliary heads, which count `aux_weight` each in the loss.
    """

    name: str
    family: str
    summary: str
    build: Callable[[ModelOptions], torch.nn.Module]
    parameters: int  # trainable ones, at num_classes and input_shape below
    macs: int  # multiply-accumulates of one forward pass, likewise
    paper: Paper
    licence: str
    num_classes: int = 1000
    input_shape: Shape = (3, 224, 224)
    min_size: int = 28  # the smallest height and width that any form takes
    small_form: str = ""  # what the small form changes; empty: one form for all sizes
    small_below: int = SMALL_BELOW  # pixels of the shorter side
    aux_weight: float = 0.0
    pretrained: Callable[[], Mapping[str, torch.Tensor]] | None = None  # published weights
    renames: Renames = ()  # of tensors in files made elsewhere, to the names they have here
    recipe: Recipe = field(default_factory=Recipe)
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name("architecture", self.name)
        check_name("family", self.family)
        _check_line(self.name, "summary", self.summary)
        _check_line(self.name, "licence", self.licence)
        _check_kinds(
            self.name,
            paper=(self.paper, Paper),
            recipe=(self.recipe, Recipe),
            tags=(self.tags, tuple),
            parameters=(self.parameters, int),
            macs=(self.macs, int),
        )
        _check(callable(self.build), f"{self.name}: build {self.build!r} is not callable")
        _check(self.parameters > 0, f"{self.name}: parameters {self.parameters} must be positive")
        _check(self.macs > 0, f"{self.name}: macs {self.macs} must be positive")
        _check(self.min_size >= 1, f"{self.name}: min_size {self.min_size} must be positive")
        _check_shape(self.name, self.input_shape)

    def options(
        self,
        *,
        num_classes: int | None = None,
        input_shape: Shape | None = None,
        form: Form | None = None,
        dropout: float | None = None,
    ) -> ModelOptions:
        """The options for a builder, the form chosen by the image size unless given."""
        shape = input_shape or self.input_shape
        fits_small = bool(self.small_form) and min(shape[1:]) < self.small_below
        return ModelOptions(
            num_classes=num_classes or self.num_classes,
            input_shape=shape,
            form=form or ("small" if fits_small else "standard"),
            dropout=dropout,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """`build(parameters, recipe)` returns a torch optimizer.

    `parameters` are groups of named parameters, each with its own weight decay, as
    torch's optimizers take them; the training loop sets each group's learning rate.
    """

    name: str
    summary: str
    build: Callable[[list[dict[str, Any]], Recipe], torch.optim.Optimizer]

    def __post_init__(self) -> None:
        check_name("optimizer", self.name)
        _check_line(self.name, "summary", self.summary)
        _check(callable(self.build), f"{self.name}: build {self.build!r:.60} is not callable")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSpec:
    """A named recipe: a TOML file whose keys are the fields of `Recipe`."""

    name: str
    summary: str
    path: Path

    def __post_init__(self) -> None:
        check_name("recipe", self.name)
        _check_line(self.name, "summary", self.summary)
        _check_kinds(self.name, path=(self.path, Path))
        _check(self.path.suffix == ".toml", f"recipe {self.name}: {self.path} is not a .toml file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Labelled images of one split, either as pixels or as the files that hold them."""

    labels: Labels
    pixels: Pixels | None = None
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        held = len(self.files) if self.pixels is None else len(self.pixels)
        _check(held == len(self.labels), f"{held} images but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceData:
    """What a data set hands over; the trainer makes a missing validation or test split."""

    classes: tuple[str, ...]
    train: Samples
    val: Samples | None = None
    test: Samples | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRequest:
    """Where to look: `folder` was named by the user, `downloads` is where files lie or go."""

    folder: Path | None = None
    downloads: Path = Path("data")
    download: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    name: str
    summary: str
    open: Callable[[DataRequest], SourceData]
    licence: str
    url: str = ""
    num_classes: int | None = None  # None: found in the data
    image_shape: Shape | None = None  # None: found in the data
    mean: tuple[float, ...] | None = None  # of pixels scaled to 0..1; None: measured
    std: tuple[float, ...] | None = None
    embedded: bool = False  # comes with an installed package: no download
    augment: str = "crop-flip"  # what `augment = auto` means for these images

    def __post_init__(self) -> None:
        check_name("data set", self.name)
        _check_line(self.name, "summary", self.summary)
        _check_line(self.name, "licence", self.licence)
        _check(callable(self.open), f"{self.name}: open {self.open!r:.60} is not callable")
        _check(self.augment in CHOICES["augment"], f"{self.name}: augment {self.augment!r:.60}")
        if self.image_shape is not None:
            _check_shape(self.name, self.image_shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelContract:
    """What must travel with a model for its answers to mean anything."""

    architecture: str
    plugin: str  # "distribution version" that offered the architecture
    num_classes: int
    input_shape: Shape
    form: Form
    dropout: float | None
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize
    dataset: str

    def __post_init__(self) -> None:
        check_name("architecture", self.architecture)
        channels = self.input_shape[0]
        _check(len(self.classes) == self.num_classes, "as many class names as classes are needed")
        _check(len(set(self.classes)) == len(self.classes), "class names must differ")
        _check(len(self.mean) == len(self.std) == channels, "one mean and std per channel")
        _check(all(map(isfinite, self.mean)), f"mean must be finite: {self.mean}")
        _check(all(0 < std < inf for std in self.std), f"std must be above 0: {self.std}")
        _check(self.resize in get_args(Resize), f"resize {self.resize!r} is unknown")
        self.options()

    def options(self) -> ModelOptions:
        return ModelOptions(
            num_classes=self.num_classes,
            input_shape=self.input_shape,
            form=self.form,
            dropout=self.dropout,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    epoch: int  # from 1
    step: int  # optimizer steps since the start of training
    learning_rate: float
    train_loss: float
    train_accuracy: float  # of the augmented images, in training mode, 0..1
    val_loss: float
    val_accuracy: float
    images_per_second: float
    seconds: float  # training and validation of this epoch
    best: bool  # the best validation accuracy so far; of equal ones, the lowest loss


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    folder: Path
    contract: ModelContract
    recipe: Recipe
    loggers: tuple[str, ...] = ()  # plugins that `train --log` asked for


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
    extra: str = "train"  # the extra that brings them
    refines: bool = False
    example: str = ""  # Python that uses a self-contained file, here called {model}; runs alone

    def __post_init__(self) -> None:
        check_name("exporter", self.name)
        _check_line(self.name, "title", self.title)
        _check_line(self.name, "summary", self.summary)
        _check(callable(self.write), f"{self.name}: write {self.write!r:.60} is not callable")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model on disk, checked and ready for a runtime."""

    path: Path  # the checkpoint, the .onnx, the .xml
    format: str  # "checkpoint" or an exporter's name
    precision: Precision
    contract: ModelContract
    architecture: ArchitectureSpec | None = None  # set for checkpoints, which need it
    interface: Interface = BARE

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
        """Resized images [N, H, W, C] as this engine's input."""

    def infer(self, inputs: Any) -> Logits:
        """Run the network once; returns when the logits [N, classes] are in memory."""

    def describe(self) -> Mapping[str, str]:
        """The settings in effect: device, threads, precision."""


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
    requires: tuple[str, ...] = ()
    extra: str = "train"

    def __post_init__(self) -> None:
        check_name("runtime", self.name)
        _check_line(self.name, "title", self.title)
        for function in (self.open, self.devices):
            _check(callable(function), f"{self.name}: {function!r:.60} is not callable")


def to_data(value: Any) -> Any:
    """A spec's data as JSON-ready values; functions and modules are left out.

    JSON knows no NaN and no infinity: None stands for both.
    """
    if hasattr(value, "__dataclass_fields__"):
        pairs = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: to_data(item) for name, item in pairs if not callable(item)}
    if isinstance(value, Mapping):
        return {str(key): to_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
