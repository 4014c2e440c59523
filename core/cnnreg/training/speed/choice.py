"""The choice of precision, layout and compilation, remembered for each machine and model."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from cnnreg.errors import CnnregError
from cnnreg.files import home, write_json
from cnnreg.machine.environment import processor_name
from cnnreg.recipe import Recipe
from cnnreg.specs import ModelContract


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and the images per second that decided it."""

    precision: str
    layout: str
    compile: str
    rates: dict[str, float]

    def applied_to(self, recipe: Recipe) -> Recipe:
        return replace(recipe, precision=self.precision, layout=self.layout, compile=self.compile)

    def __str__(self) -> str:
        measured = ", ".join(f"{name} {rate:,.0f}" for name, rate in self.rates.items())
        compiled = ", compiled" if self.compile == "on" else ""
        return f"{self.precision}, {self.layout}{compiled} (images/s: {measured})"


def key_of(
    recipe: Recipe, contract: ModelContract, device: torch.device, processes: int, *, long: bool
) -> str:
    """All that a measurement depends on, in one line."""
    model = f"{contract.architecture} {contract.form} {contract.input_shape}"
    asked = f"batch {recipe.batch_size}, {recipe.precision}/{recipe.layout}/{recipe.compile}"
    asked += f", {recipe.accumulate * processes} parts, {'long' if long else 'not long'}"
    machine = f"{processor_name()}, {torch.get_num_threads()} threads, {device}"
    if device.type == "cuda":
        machine += f" {torch.cuda.get_device_name(device)}"
    return f"{model}, {asked}, {machine}, torch {torch.__version__}"


def recall(key: str) -> Choice | None:
    try:
        known = json.loads((home() / "speed.json").read_text(encoding="utf-8"))
        choice = Choice(**known[key])
        choice.applied_to(Recipe())  # what a file says may be nonsense
        return choice
    except (OSError, CnnregError, ValueError, KeyError, TypeError):
        return None  # nothing remembered, or nothing one can read: measured again


def remember(key: str, choice: Choice) -> None:
    known = dict[str, Any]()
    with suppress(OSError, CnnregError):  # a home one cannot write to: measured each time
        path = home() / "speed.json"
        with suppress(OSError, ValueError, TypeError):
            known = dict(json.loads(path.read_text(encoding="utf-8")))
        known[key] = asdict(choice)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, known)
