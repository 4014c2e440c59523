"""Pictures that are there twice, byte for byte: in two splits, or in two classes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from cnnreg.files import file_digest

from .listing import common_folder, middle_of, relative_names

MOST = 20_000  # files looked into: where thousands have one size, few of them are twins
SHOWN = 3  # pairs


class Place(NamedTuple):
    split: str
    label: int
    path: Path


def twins_told(places: Iterable[Place]) -> str:
    """In words, with examples; empty where no picture has a twin that matters."""
    known = list(places)
    groups = _twins(known)
    told: list[str] = []
    shown: list[tuple[Path, Path]] = []
    for split, title in (("test", "test"), ("val", "validation")):
        pairs = list(_leaks(groups, split))
        shown += pairs
        if pairs:
            are = "image is" if len(pairs) == 1 else "images are"
            told.append(f"{len(pairs):,} {title} {are} also among the training images")
    pairs = list(_torn(groups))
    if pairs:
        lie = "picture lies" if len(pairs) == 1 else "pictures lie"
        told.append(f"{len(pairs):,} {lie} in two classes")
    shown += pairs
    if not told:
        return ""
    root = common_folder(_paths(known))
    examples = [" = ".join(relative_names(pair, root)) for pair in dict.fromkeys(shown)]
    more = [] if len(examples) <= SHOWN else ["..."]
    return f"{', '.join(told)}: {', '.join(examples[:SHOWN] + more)}"


def _leaks(groups: list[list[Place]], split: str) -> Iterator[tuple[Path, Path]]:
    """Each image of the split that is trained on too, with its twin."""
    for group in groups:
        trained = [place.path for place in group if place.split == "train"]
        if trained:
            yield from ((place.path, trained[0]) for place in group if place.split == split)


def _torn(groups: list[list[Place]]) -> Iterator[tuple[Path, Path]]:
    for group in groups:
        for place in group:
            if place.label != group[0].label:
                yield group[0].path, place.path
                break


def _twins(places: list[Place]) -> list[list[Place]]:
    suspects: list[Place] = []
    for group in sorted(_grouped(places, map(_size, _paths(places))), key=len):
        if len(suspects) + len(group) <= MOST:
            suspects += group
    with ThreadPoolExecutor() as pool:  # a network drive answers many at once
        alike = list(chain(*_grouped(suspects, pool.map(middle_of, _paths(suspects)))))
        return _grouped(alike, pool.map(_digest, _paths(alike)))


def _paths(places: Iterable[Place]) -> list[Path]:
    return [place.path for place in places]


def _grouped(places: list[Place], keys: Iterable[Hashable]) -> list[list[Place]]:
    """Those that share a key with one of another class or split; not what cannot be read."""
    known: dict[Hashable, list[Place]] = {}
    for place, key in zip(places, keys, strict=True):
        if key is not None:
            known.setdefault(key, []).append(place)
    return [group for group in known.values() if len({place[:2] for place in group}) > 1]


def _size(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_size
    return None


def _digest(path: Path) -> str | None:
    with suppress(OSError):
        return file_digest(path)
    return None
