"""result.json: the outcome of a training that ended by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnnreg.errors import ModelFileError
from cnnreg.files import read_json, write_json

FILE_NAME = "result.json"
FIELDS = {"test_accuracy": float, "best_epoch": int, "epochs": int}  # what is read of it


def write_result(folder: Path, result: dict[str, Any]) -> None:
    write_json(folder / FILE_NAME, result)


def read_result(folder: Path) -> dict[str, Any] | None:
    """A run's outcome, or None while training is not finished. Raises ModelFileError."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    result = read_json(path)
    if not isinstance(result, dict) or not all(
        isinstance(result.get(name), kind) for name, kind in FIELDS.items()
    ):
        raise ModelFileError(
            f"Damaged result: it needs {', '.join(FIELDS)}.",
            where=path,
            hint="Delete it: `cnnreg resume` measures the test images again.",
        )
    return result
