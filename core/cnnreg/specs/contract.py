"""What a model must be told with: the same in runs, exports and runtimes."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, get_args

from .architecture import ModelOptions
from .checks import check, check_name, is_harmless
from .types import Form, Resize, Shape


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
        check(len(self.classes) == self.num_classes, "as many class names as classes are needed")
        check(len(set(self.classes)) == len(self.classes), "class names must differ")
        texts = (self.plugin, self.dataset, *self.classes)
        check(all(map(is_harmless, texts)), "names must hold no control characters")
        check(len(self.mean) == len(self.std) == channels, "one mean and std per channel")
        check(all(map(isfinite, self.mean)), f"mean must be finite: {self.mean}")
        check(all(0 < std < inf for std in self.std), f"std must be above 0: {self.std}")
        check(self.resize in get_args(Resize), f"resize {self.resize!r} is unknown")
        self.options()

    @classmethod
    def from_data(cls, data: Any) -> ModelContract:
        """Back from JSON. Raises ValueError, KeyError, TypeError or OverflowError if it is none."""
        dropout = data["dropout"]
        channels, height, width = (int(size) for size in data["input_shape"])
        return cls(
            architecture=_text(data["architecture"]),
            plugin=_text(data["plugin"]),
            num_classes=int(data["num_classes"]),
            input_shape=(channels, height, width),
            form=data["form"],
            dropout=None if dropout is None else float(dropout),
            classes=tuple(map(_text, data["classes"])),
            mean=tuple(map(float, data["mean"])),
            std=tuple(map(float, data["std"])),
            resize=data["resize"],
            dataset=_text(data["dataset"]),
        )

    @property
    def is_named(self) -> bool:
        """Whether its classes have names of their own, which an import without data may lack."""
        return bool(self.dataset) or self.classes != unnamed_classes(self.num_classes)

    def options(self) -> ModelOptions:
        return ModelOptions(
            num_classes=self.num_classes,
            input_shape=self.input_shape,
            form=self.form,
            dropout=self.dropout,
        )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {value!r:.40}")
    return value


def unnamed_classes(count: int) -> tuple[str, ...]:
    """What classes are called where nobody has named them."""
    return tuple(f"class{number}" for number in range(count))
