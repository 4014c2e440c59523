"""One run: its files, and which images it is of."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnreg.data import Dataset
from cnnreg.data.listing import Listed, Places, compare_listings, places
from cnnreg.files import disk_errors, patiently, write_text
from cnnreg.texts import composed

from .config import RunConfig, read_config, write_config
from .result import FILE_NAME as RESULT
from .result import read_result

BEST = "best.safetensors"
OF_THE_END = (
    RESULT,
    "report.json",
    *(f"{name}.{kind}" for name in ("confusion", "classes", "mistakes") for kind in ("png", "svg")),
)
"""Files that hold for the weights with which a training ended."""


def name_of(folder: Path) -> str:
    """Its last part, that of `.` and `..` too."""
    return folder.resolve().name if folder.name in ("", "..") else folder.name


@dataclass(frozen=True, slots=True)
class Run:
    folder: Path
    config: RunConfig

    @property
    def name(self) -> str:
        return name_of(self.folder)

    @property
    def best(self) -> Path:
        return self.folder / BEST

    @property
    def last(self) -> Path:
        return self.folder / "last.safetensors"

    @property
    def previous(self) -> Path:
        return self.folder / "last.previous.safetensors"

    @property
    def damaged(self) -> Path:
        """Where a last checkpoint that cannot be read is put aside."""
        return self.folder / "last.damaged.safetensors"

    @property
    def images(self) -> Path:
        return self.folder / "images.jsonl"

    @property
    def exports(self) -> Path:
        return self.folder / "exports"

    @property
    def curves(self) -> Path:
        return self.folder / "curves.png"

    @property
    def report(self) -> Path:
        return self.folder / "report.json"

    @property
    def result(self) -> dict[str, Any] | None:
        """The outcome, or None while training is not finished. Raises ModelFileError."""
        return read_result(self.folder)

    def changed(self, **fields: Any) -> Run:
        """This run with other fields of its configuration; `begin` writes them."""
        return Run(self.folder, replace(self.config, **fields))

    def begin(self, dataset: Dataset) -> None:
        """Write what is trained and on which images; drop what told of an end."""
        others = read_config(self.folder).data_fingerprint != self.config.data_fingerprint
        with disk_errors(self.folder):
            # First: they say which of the images a run.json of the new ones was split into.
            if others or not self.images.exists():
                self.write_images(dataset)
            write_config(self.folder, self.config)
            for name in OF_THE_END:
                patiently((self.folder / name).unlink, missing_ok=True)

    def write_images(self, dataset: Dataset) -> None:
        """Keep which image is in which split: one line [split, bytes, name] for each file."""
        listed = [json.dumps(entry, ensure_ascii=False) for entry in dataset.listing()]
        if listed:
            write_text(self.images, "\n".join(listed) + "\n")
        else:
            patiently(self.images.unlink, missing_ok=True)

    def difference(self, dataset: Dataset) -> str:
        """How many images were added, removed and changed; empty where that is not known."""
        before = self.listed()
        return f": {compare_listings(before, dataset.listing())}" if before else ""

    def places(self) -> Places:
        """The splits that each image was in; empty where that is not known."""
        return places(self.listed())

    def listed(self) -> list[Listed]:
        """The images as `write_images` kept them; none where that is not known."""
        try:
            # Not by splitlines, which takes some characters of a name for the end of a line.
            with self.images.open(encoding="utf-8") as lines:
                listed = [json.loads(line) for line in lines]
            return [(str(split), int(size), composed(str(name))) for split, size, name in listed]
        except (OSError, ValueError, TypeError):
            return []
