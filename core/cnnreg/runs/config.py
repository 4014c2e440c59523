"""run.json: what was asked for, written and read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cnnreg.data import DataConfig
from cnnreg.errors import DataError, ModelFileError
from cnnreg.files import check_schema, read_json, write_json
from cnnreg.recipe import Recipe, recipe_from_data
from cnnreg.specs import ModelContract, to_data

SCHEMA = 1
PRETRAINED = "pretrained"
FILE_NAME = "run.json"

Change = dict[str, Any]
"""Where training stood (epoch, step), when (at), and in words what was different (what)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What was asked: enough to train the same model again."""

    contract: ModelContract
    recipe: Recipe
    data: DataConfig
    data_fingerprint: str
    environment: dict[str, Any]
    created: str
    weights: str = ""  # to start from: "pretrained" or a file; empty: random ones
    fresh: tuple[str, ...] = ()  # parameters that those weights lack
    loggers: tuple[str, ...] = ()  # plugins to tell each epoch
    changes: tuple[Change, ...] = ()  # since it began, oldest first
    imported: dict[str, Any] = field(default_factory=dict)  # from which file, if not trained here


def write_config(folder: Path, config: RunConfig) -> None:
    write_json(folder / FILE_NAME, config_to_data(config))


def config_to_data(config: RunConfig) -> dict[str, Any]:
    return {"schema": SCHEMA, **to_data(config)}


def read_config(folder: Path) -> RunConfig:
    """Raises ModelFileError if `folder` does not hold a readable run.json."""
    return config_from_data(folder, read_json(folder / FILE_NAME))


def config_from_data(folder: Path, data: Any) -> RunConfig:
    """What run.json's `data` says. Raises ModelFileError as `read_config` does."""
    try:
        check_schema(data, SCHEMA, folder / FILE_NAME)
        config = RunConfig(
            contract=ModelContract.from_data(data["contract"]),
            recipe=recipe_from_data(data["recipe"]),
            data=DataConfig.from_data(data["data"]),
            data_fingerprint=str(data["data_fingerprint"]),
            environment=dict(data["environment"]),
            created=str(data["created"]),
            weights=str(data["weights"]),
            fresh=tuple(map(str, data.get("fresh", ()))),
            loggers=tuple(map(str, data.get("loggers", ()))),
            changes=tuple(dict(change) for change in data.get("changes", ())),
            imported=dict(data.get("imported", {})),
        )
        created = datetime.fromisoformat(config.created)
        if created.tzinfo is None:  # runs are sorted by it
            raise ValueError(f"created {config.created!r:.40} has no time zone")
        created.astimezone()  # no clock is that far back, or ahead
    except (
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        AttributeError,
        DataError,
        OSError,  # by Windows, for a time before 1970 or after 3000
    ) as error:
        raise ModelFileError(f"Damaged run: {error}.", where=folder / FILE_NAME) from error
    return config


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="microseconds")
