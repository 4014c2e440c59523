"""A file format whose engines give the original's answers, changed as a test wants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnnreg.files import LOCK
from cnnreg.registry import Catalog, Entry, Registry
from cnnreg.specs import ExporterSpec


def write(request) -> Path:
    path = request.folder / "model.npz"
    np.savez(path, weight=np.zeros(1))
    return path


EXPORTER = ExporterSpec(
    name="toy", title="Toy", summary="a test", precisions=("fp32", "int8"), write=write
)


class Answering:
    """A session that gives the original's answers, with changes."""

    def __init__(self, logits, change):
        self.logits, self.change, self.at = logits, change, 0

    def prepare(self, images):
        return images

    def infer(self, inputs):
        first = 0 if len(inputs) == 1 else self.at  # which is asked for by itself too
        part = self.logits[first : first + len(inputs)]
        self.at = first + len(inputs)
        return self.change(part.copy())

    def describe(self):
        return {}


def visible(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != LOCK]


def flip_one(logits):
    logits[0] = logits[0][::-1]
    return logits


def wrong(logits):
    return np.roll(logits, 1, axis=1)


def with_engine(registry: Registry, open_session: Callable[..., Any]) -> Registry:
    """The registry with one engine for the toy format, which opens files as told."""
    engine = dataclasses.replace(registry.runtimes["engine0"], open=open_session)
    catalog = Catalog("runtime", [Entry(engine, registry.plugins[0])])
    return dataclasses.replace(registry, runtimes=catalog)
