"""Folders that are called as splits are: which split each is, and which are no classes."""

from __future__ import annotations

import re
from pathlib import Path

from cnnreg import DataError

from .looking import ClassFolder

SPLITS = {
    "train": ("train", "training", "train_set", "training_set"),
    "val": ("val", "valid", "validation", "dev", "val_set", "validation_set"),
    "test": ("test", "testing", "test_set"),
}


def is_split(name: str) -> bool:
    return any(name.lower() in names for names in SPLITS.values())


def by_split(folders: dict[str, Path], root: Path) -> dict[str, Path]:
    """Those that are called as splits are."""
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        named = [folder for name, folder in folders.items() if name.lower() in names]
        if len(named) > 1:
            raise DataError(
                f"Two folders for one split: {' and '.join(folder.name for folder in named)}.",
                where=root,
            )
        if named:
            found[split] = named[0]
    return found


def refuse_splits(root: Path, classes: dict[str, ClassFolder]) -> None:
    """Splits called otherwise, as seg_train and seg_test, or without class folders, are no classes.

    Where images lie right in them, only if that is the whole of their names: test_tube and
    train_car are classes.
    """
    deep: dict[str, str] = {}
    for name, looked in classes.items():
        words = {word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)}
        for split in () if looked.flat else _splits_of(words):
            deep.setdefault(split, name)
    if len(deep) > 1:
        raise DataError(
            f"{' and '.join(deep.values())} hold folders, not images: are they splits?",
            where=root,
            hint=f"Call them {' and '.join(deep)}, or name one of them with --data.",
        )
    bare = [_splits_of({name.lower().rstrip("0123456789_- ")}) for name in classes]
    if all(bare) and len({*bare}) == len(bare) > 1:
        raise DataError(
            f"{' and '.join(classes)} are called as splits are, not as classes.",
            where=root,
            hint="In each, images belong in one folder for each class: train/cat/1.jpg.",
        )


def _splits_of(words: set[str]) -> tuple[str, ...]:
    return tuple(split for split, names in SPLITS.items() if not words.isdisjoint(names))
