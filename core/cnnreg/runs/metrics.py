"""metrics.jsonl: the finished epochs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import nan
from pathlib import Path
from typing import Any

from cnnreg.errors import MachineError, ModelFileError
from cnnreg.files import write_text
from cnnreg.specs import EpochRecord, to_data

FILE_NAME = "metrics.jsonl"


def write_metrics(folder: Path, history: Iterable[EpochRecord]) -> None:
    # Written whole from what the checkpoint holds, so the two can never disagree.
    lines = (json.dumps(to_data(record), allow_nan=False) for record in history)
    write_text(folder / FILE_NAME, "".join(f"{line}\n" for line in lines))


def read_metrics(folder: Path) -> tuple[EpochRecord, ...]:
    """The finished epochs of a run. Raises ModelFileError if the file is damaged."""
    path = folder / FILE_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [_lax(json.loads(line)) for line in lines]
        if not all(isinstance(value, (int, float)) for item in found for value in item.values()):
            raise ValueError("a figure is no number")
        return tuple(EpochRecord(**item) for item in found)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise MachineError(f"Cannot read: {error.strerror}.", where=path) from error
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"Damaged metrics: {error}.", where=path) from error


def _lax(record: dict[str, Any]) -> dict[str, Any]:
    return {key: nan if value is None else value for key, value in record.items()}
