"""A network: what it is, what it costs, how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, get_args

from cnnreg.recipe import Recipe

from .checks import (
    check,
    check_functions,
    check_kinds,
    check_line,
    check_moments,
    check_name,
    check_renames,
    check_shape,
    check_texts,
)
from .types import Form, Renames, Shape

if TYPE_CHECKING:
    import torch

SMALL_BELOW = 64
"""Images whose shorter side is under this get an architecture's small form, unless it says."""

IMAGENET_MOMENTS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation that nearly all published weights were trained with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    title: str
    year: int
    url: str

    def __post_init__(self) -> None:
        check_line("paper", "title", self.title)
        check_line("paper", "url", self.url)
        check_kinds("paper", year=(self.year, int))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """What a builder must honour."""

    num_classes: int
    input_shape: Shape
    form: Form = "standard"
    dropout: float | None = None  # None: the paper's own

    def __post_init__(self) -> None:
        check(self.num_classes >= 2, f"num_classes must be at least 2, not {self.num_classes}")
        check(min(self.input_shape) >= 1, f"input_shape {self.input_shape} must be positive")
        check(self.form in get_args(Form), f"form {self.form!r} is not one of {get_args(Form)}")
        check(self.dropout is None or 0 <= self.dropout < 1, f"dropout {self.dropout} not in 0..1")

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
    pretrained_mean: tuple[float, ...] = IMAGENET_MOMENTS[0]  # of the images they expect
    pretrained_std: tuple[float, ...] = IMAGENET_MOMENTS[1]
    renames: Renames = ()  # of tensors in files made elsewhere, to the names they have here
    recipe: Recipe = field(default_factory=Recipe)
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name("architecture", self.name)
        check_name("family", self.family)
        check_line(self.name, "summary", self.summary)
        check_line(self.name, "licence", self.licence)
        check_kinds(
            self.name,
            paper=(self.paper, Paper),
            recipe=(self.recipe, Recipe),
            parameters=(self.parameters, int),
            macs=(self.macs, int),
            num_classes=(self.num_classes, int),
            min_size=(self.min_size, int),
            small_below=(self.small_below, int),
            small_form=(self.small_form, str),
            aux_weight=(self.aux_weight, float),
        )
        check_texts(self.name, tags=self.tags)
        check_functions(self.name, build=self.build)
        if self.pretrained is not None:
            check_functions(self.name, pretrained=self.pretrained)
        check_renames(self.name, self.renames)
        check(0 <= self.aux_weight < inf, f"{self.name}: aux_weight {self.aux_weight} is below 0")
        check(self.num_classes >= 2, f"{self.name}: num_classes {self.num_classes} is below 2")
        check(self.parameters > 0, f"{self.name}: parameters {self.parameters} must be positive")
        check(self.macs > 0, f"{self.name}: macs {self.macs} must be positive")
        check(self.min_size >= 1, f"{self.name}: min_size {self.min_size} must be positive")
        check_shape(self.name, self.input_shape)
        check_moments(self.name, self.pretrained_mean, self.pretrained_std, (1, 3))

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
        if form == "small" and not self.small_form:
            raise ValueError(f"{self.name} has one form for all sizes")
        fits_small = bool(self.small_form) and min(shape[1:]) < self.small_below
        return ModelOptions(
            num_classes=num_classes or self.num_classes,
            input_shape=shape,
            form=form or ("small" if fits_small else "standard"),
            dropout=dropout,
        )
