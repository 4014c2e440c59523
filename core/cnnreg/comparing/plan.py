"""What is compared: every combination of network, data, optimizer, learning rate and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from cnnreg.data import DataConfig
from cnnreg.errors import UsageError
from cnnreg.recipe import Recipe, recipe_from_data
from cnnreg.specs import to_data

SWEPT = ("optimizer", "learning_rate", "seed")
"""The recipe's fields that a trial sets; the same optimizer shares all others in a network."""

PLACES = ("folder", "downloads")
"""Where data lie, which may differ between machines."""

DEFAULTS = {**to_data(DataConfig(name="")), **to_data(Recipe())}
"""Of the fields of both: what a study began with where it is older than a field."""

LONGEST_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training of a comparison."""

    architecture: str
    data: str  # a label of Plan.data
    optimizer: str
    learning_rate: float
    seed: int

    @property
    def name(self) -> str:
        """Of the trial and of its run's folder."""
        rate = repr(self.learning_rate)
        name = f"{self.architecture}-{self.data}-{self.optimizer}-{rate}-seed{self.seed}"
        return name.replace(":", ".")  # of plugin:name, which is no folder on Windows

    def recipe(self, base: Recipe) -> Recipe:
        return replace(base, **{field: getattr(self, field) for field in SWEPT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The contestants, and what is the same for all of them."""

    recipes: Mapping[str, Mapping[str, Recipe]]  # by architecture and optimizer
    data: Mapping[str, DataConfig]  # by label
    learning_rates: tuple[float, ...]  # none: each recipe's own
    seeds: int

    @property
    def name(self) -> str:
        """The same for the same networks and data, so that a command finds what it began."""
        name = "-".join((*self.recipes, *self.data)).replace(":", ".")
        if len(name) <= LONGEST_NAME:
            return name
        return f"{name[: LONGEST_NAME - 9]}-{sha256(name.encode()).hexdigest()[:8]}"

    def trials(self) -> list[Trial]:
        """Seed by seed, so that contestants can be compared before all is done."""
        return [
            Trial(
                architecture=architecture,
                data=data,
                optimizer=optimizer,
                learning_rate=rate,
                seed=seed,
            )
            for seed in range(self.seeds)
            for data in self.data
            for architecture, recipes in self.recipes.items()
            for optimizer, recipe in recipes.items()
            for rate in self.learning_rates or (recipe.learning_rate,)
        ]


def by_label(configs: list[DataConfig]) -> dict[str, DataConfig]:
    """Raises UsageError if two folders would get the same label.

    Upper and lower case are one: the labels are part of folders' names.
    """
    labelled: dict[str, DataConfig] = {}
    for config in configs:
        known = labelled.setdefault(config.label.casefold(), config)
        if known != config:
            raise UsageError(
                f"Two data sets are called '{config.label}', in upper or lower case.",
                hint="Rename a folder.",
            )
    return {config.label: config for config in labelled.values()}


def fixed_part(recipe: Recipe) -> dict[str, Any]:
    """What all trials of a network and an optimizer share, as JSON-ready data."""
    return {name: value for name, value in to_data(recipe).items() if name not in SWEPT}


def recipe_from_fixed(data: Mapping[str, Any]) -> Recipe:
    """Back from `fixed_part`. Raises UsageError for what a newer version has written."""
    try:
        return recipe_from_data(dict(data))
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"This comparison began with another version of cnnreg: {error}.",
            hint="All workers need the same version.",
        ) from error


def check_same(subject: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raises UsageError saying how `ours` differs from what the comparison began with."""
    held = {**DEFAULTS, **theirs}
    differing = [
        f"{name.replace('_', ' ')} {_short(held.get(name))}, not {_short(ours.get(name))}"
        for name in {**ours, **theirs}
        if name not in PLACES and held.get(name) != ours.get(name)
    ]
    if differing:
        raise UsageError(
            f"This comparison began otherwise: {subject} with {'; '.join(differing)}.",
            hint="Leave that as it was, or choose another --output.",
        )


def _short(value: Any) -> str:
    return f"{value[:12]}..." if isinstance(value, str) and len(value) > 40 else str(value)
