"""Recipes: everything that decides a training beside network and data.

One object, three spellings: the fields below, the keys of a TOML file, and the
flags of `cnnreg train`.
"""

from __future__ import annotations

import tomllib
from dataclasses import Field, dataclass, field, fields, replace
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any

from .errors import UsageError

MEASURED = ("precision", "layout", "compile")  # where they are left open, as `auto`

BY_SCHEDULE = -1  # of patience: as long as suits how the rate moves
USUAL_PATIENCE = 5
ENDLESS = ("constant", "plateau")  # schedules that do not come down by themselves

CHOICES = {
    "schedule": ("constant", "linear", "cosine", "one-cycle", "step", "plateau"),
    "class_weights": ("none", "balanced"),
    "augment": ("auto", "none", "crop", "crop-flip"),
    "precision": ("auto", "fp32", "bf16"),
    "layout": ("auto", "channels-last", "contiguous"),
    "compile": ("auto", "on", "off"),
}


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Field names are TOML keys; flags are spelt with dashes, and `--lr` is the learning rate."""

    epochs: int = _setting(20, "Passes over the training images.")
    batch_size: int = _setting(64, "Images of one optimizer step, over all processes.")
    accumulate: int = _setting(1, "Parts a batch is worked through in, where memory is short.")
    optimizer: str = _setting("adam", "`cnnreg list --kind optimizers` shows them.")
    learning_rate: float = _setting(3e-3, "Its peak, where a schedule changes it.")
    momentum: float = _setting(0.9, "For optimizers that have one.")
    weight_decay: float = _setting(0.0, "Of weights alone: norms and biases are spared.")
    clip: float = _setting(0.0, "Longest gradient, in the 2-norm over all parameters; 0: any.")
    schedule: str = _setting("one-cycle", "How the learning rate moves.")
    warmup: float = _setting(
        0.0, "Epochs in which the rate rises, again after a freeze; of one-cycle its first leg."
    )
    milestones: tuple[float, ...] = _setting(
        (0.5, 0.75), "step: shares of what follows the warm-up at which the rate falls."
    )
    gamma: float = _setting(0.1, "step, plateau: what the rate is then multiplied by.")
    plateau: int = _setting(2, "plateau: epochs without a new best one before the rate falls.")
    label_smoothing: float = _setting(0.0, "Share of the target spread over all classes.")
    class_weights: str = _setting("none", "balanced: rare classes count as much as common ones.")
    augment: str = _setting("auto", "auto: the data set's own.")
    shift: float = _setting(0.125, "crop, crop-flip: longest move of an image, in its sides.")
    zoom: float = _setting(1.0, "Smallest share of an image's area that is cut out; 1: all of it.")
    rotate: float = _setting(0.0, "Largest turn of an image, in degrees.")
    colour: float = _setting(0.0, "Largest change of brightness, contrast, saturation: 0.2, say.")
    start_size: float = _setting(1.0, "Share of the side that images have at first, to grow.")
    erasing: float = _setting(0.0, "Share of images that lose a random rectangle.")
    mixup: float = _setting(0.0, "Alpha of mixup, which blends pairs of images; 0: off.")
    cutmix: float = _setting(0.0, "Alpha of CutMix, which pastes one image into another; 0: off.")
    ema: float = _setting(0.0, "Decay, a step, of an average of the weights, used in their place.")
    freeze: int = _setting(0, "Epochs at the start in which the classifier layer alone learns.")
    body_rate: float = _setting(1.0, "Share of the learning rate that the first layers get.")
    precision: str = _setting("auto", "auto: whichever is measured to be faster here.")
    layout: str = _setting("auto", "Order of an image's numbers in memory; auto: measured.")
    compile: str = _setting("auto", "Use torch.compile; auto: where a long training gains by it.")
    seed: int = _setting(0, "Of weights, order and augmentation.")
    patience: int = _setting(
        BY_SCHEDULE,
        "Epochs without a new best one, of those that are not frozen, before stopping; 0: never; "
        f"-1: {USUAL_PATIENCE} with the schedules {' and '.join(ENDLESS)}, never with the others, "
        "whose rate comes down.",
    )

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:  # nor is NaN
                wanted = _range_text(value, low, high)
                raise ValueError(f"{label(name)} must be {wanted}, not {value!s:.30}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                wanted = ", ".join(choices)
                raise ValueError(
                    f"{label(name)} must be one of {wanted}, not {getattr(self, name)!r}"
                )
        if not (self.learning_rate > 0 and isfinite(self.learning_rate)):
            raise ValueError(f"learning rate must be above 0, not {self.learning_rate}")
        if self.accumulate > self.batch_size // 2:
            raise ValueError(f"accumulate {self.accumulate} leaves parts of fewer than 2 images")
        if not all(0 < share < 1 for share in self.milestones):
            raise ValueError(f"milestones must lie between 0 and 1, not {self.milestones}")

    def with_patience(self) -> Recipe:
        """Patience that was left open as the schedule wants it.

        A rate that is to come down makes its best epochs last: waiting would end them unseen.
        """
        if self.patience != BY_SCHEDULE:
            return self
        return replace(self, patience=0 if self.comes_down else USUAL_PATIENCE)

    @property
    def comes_down(self) -> bool:
        """Its rate falls to the last epoch, whichever that is: a longer training is another one."""
        return self.schedule not in ENDLESS

    @property
    def settles(self) -> bool:
        """Its rate comes down to the last epoch, which nothing ends it before."""
        return self.comes_down and self.with_patience().patience == 0

    def plain(self) -> Recipe:
        """Each `auto` of what is MEASURED replaced by what is right unmeasured."""
        return replace(
            self,
            precision="fp32" if self.precision == "auto" else self.precision,
            layout="channels-last" if self.layout == "auto" else self.layout,
            compile="off" if self.compile == "auto" else self.compile,
        )


_SPELLING = {"learning_rate": "lr"}
_MANY = 1e9  # more than anyone has time or memory for
_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, _MANY),
    "batch_size": (2, _MANY),
    "accumulate": (1, _MANY),
    "momentum": (0, 0.9999),
    "weight_decay": (0, _MANY),
    "clip": (0, _MANY),
    "warmup": (0, _MANY),
    "gamma": (0, 1),
    "plateau": (1, _MANY),
    "label_smoothing": (0, 0.99),
    "shift": (0, 0.5),
    "zoom": (0.01, 1),
    "rotate": (0, 180),
    "colour": (0, 1),
    "start_size": (0.25, 1),
    "erasing": (0, 1),
    "mixup": (0, _MANY),
    "cutmix": (0, _MANY),
    "ema": (0, 0.99999),
    "freeze": (0, _MANY),
    "body_rate": (0, 1),
    "seed": (0, 2**63 - 1),
    "patience": (BY_SCHEDULE, _MANY),
}


def label(name: str) -> str:
    """A field's name as one reads it."""
    return name.replace("_", " ")


def flag_of(name: str) -> str:
    """The option that sets a field."""
    return "--" + _SPELLING.get(name, name.replace("_", "-"))


def recipe_field(spelt: Any) -> Any:
    """The field that is meant by its name, or as its flag spells it; else as it was."""
    return next((f.name for f in recipe_fields() if flag_of(f.name) == f"--{spelt}"), spelt)


def recipe_fields() -> tuple[Field[Any], ...]:
    """The recipe's fields; `metadata["help"]` says what each is."""
    return fields(Recipe)


def recipe_from_data(data: Any, base: Recipe | None = None) -> Recipe:
    """`base`, or the defaults, changed by `data`: what a file says, or a command's flags.

    Raises TypeError or ValueError for a field that is unknown, of another type or out of range.
    """
    base = base or Recipe()
    changes, kinds = {}, {f.name: type(f.default) for f in recipe_fields()}
    for spelt, value in dict(data).items():
        name = recipe_field(spelt)
        if name not in kinds:
            near = get_close_matches(name, kinds, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown recipe field {name!r}{guess}")
        changes[name] = _typed(name, value, kinds[name])
    return replace(base, **changes)


def read_recipe(path: Path, base: Recipe) -> Recipe:
    """The recipe that a TOML file makes of `base`: fields by name, or as their flags spell them.

    Raises UsageError for what it must not say.
    """
    try:
        # Windows' Notepad may begin a file with a mark that TOML does not know: utf-8-sig.
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return recipe_from_data(data, base)
    except OSError as error:
        raise UsageError(f"Cannot read the recipe: {error.strerror}.", where=path) from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"Not a recipe: {error}.", where=path) from error


def _typed(name: str, value: Any, wanted: type) -> Any:
    if wanted is float and type(value) is int and abs(value) <= _MANY:
        return float(value)
    if wanted is tuple and isinstance(value, (list, tuple)):
        return tuple(_typed(name, item, float) for item in value)
    if type(value) is not wanted:
        raise TypeError(f"recipe field {name} must be {wanted.__name__}, not {value!r:.60}")
    return value


def _range_text(value: float, low: float, high: float) -> str:
    if high < _MANY:
        return f"in {low:g} to {high:g}"
    return f"at most {high:g}" if value > high else f"at least {low:g}"
