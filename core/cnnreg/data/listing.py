"""Which files a data set is made of, and how that differs from what it was made of before."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cnnreg.errors import FEW
from cnnreg.texts import composed

PROBE = 4096  # bytes

Listed = tuple[str, int, str]
"""Split, bytes and relative name of one image."""

Places = Mapping[str, set[str]]
"""The splits that each image is in, by its relative name."""


def common_folder(files: Sequence[Path]) -> str:
    """That all lie in; empty where there is none, as of files on two drives."""
    try:
        return os.path.commonpath({path.parent for path in files})
    except ValueError:
        return ""


def relative_names(files: Sequence[Path], root: str) -> list[str]:
    """Below `root`, which all lie in, so that it may be moved as a whole."""
    # Cut as strings: pathlib would take half a second for 50,000, at each opening of a run.
    start = len(str(Path(root, "x"))) - 1
    return [composed(str(path)[start:].replace(os.sep, "/")) for path in files]


def middle_of(path: Path) -> tuple[int, bytes] | None:
    """The size, and bytes that tell most pictures apart; None of what cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, (size - PROBE) // 2))
        return size, file.read(PROBE)
    return None


def places_in(classes: Sequence[str], names: Iterable[str]) -> list[int | None]:
    """Where each name is among the classes, by its letters first, else however it is stored."""
    exactly = {name: place for place, name in enumerate(classes)}
    composedly = {name: place for place, name in enumerate(map(composed, classes))}
    return [exactly.get(name, composedly.get(composed(name))) for name in names]


def places(listing: Iterable[Listed]) -> Places:
    return {name: _splits(entries) for name, entries in _by_name(listing).items()}


def compare_listings(before: Iterable[Listed], now: Iterable[Listed]) -> str:
    """How many were added, removed and changed, and how many trained on are held out now."""
    old, new = _by_name(before), _by_name(now)
    added = removed = changed = seen = 0
    for name in old.keys() | new.keys():
        was, is_now = old.get(name, []), new.get(name, [])
        added += max(0, len(is_now) - len(was))
        removed += max(0, len(was) - len(is_now))
        changed += len(was) == len(is_now) and _sizes(was) != _sizes(is_now)
        seen += _was_trained_on(was, is_now)
    leak = f"; {seen} that were trained on are held out now" if seen else ""
    return _in_words(added=added, removed=removed, changed=changed) + leak


def compare_classes(found: Sequence[str], expected: Sequence[str]) -> str:
    """Which were added, and which are missing; empty where all are there, in any order."""
    found, expected = ([*map(composed, names)] for names in (found, expected))
    added = [name for name in found if name not in set(expected)]
    missing = [name for name in expected if name not in set(found)]
    told = [
        f"{_few(names)} {what}" for names, what in ((added, "added"), (missing, "missing")) if names
    ]
    return "; ".join(told)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def kept(before: Iterable[Listed], now: Iterable[Listed]) -> int:
    """How many files are there still, by name and size, in whatever split."""
    old, new = (Counter(entry[1:] for entry in listing) for listing in (before, now))
    return (old & new).total()


def _was_trained_on(was: list[tuple[str, int]], is_now: list[tuple[str, int]]) -> bool:
    """Whether one of that name is held out now that, as far as name and size tell, was not."""
    others = {(split, size) for split, size in is_now if split != "train"} - set(was)
    return any(_splits(was) == {"train"} or ("train", size) in was for _, size in others)


def _in_words(**counts: int) -> str:
    """As "2 images added, 1 removed"."""
    told = [(number, what) for what, number in counts.items() if number]
    if not told:
        return "no image added, removed or changed"
    (number, what), *others = told
    first = f"{number:,} {'image' if number == 1 else 'images'} {what}"
    return ", ".join([first, *(f"{number:,} {what}" for number, what in others)])


def _by_name(listing: Iterable[Listed]) -> dict[str, list[tuple[str, int]]]:
    """A name may stand in several splits, each of which has a folder of its own then."""
    named: dict[str, list[tuple[str, int]]] = {}
    for split, size, name in listing:
        named.setdefault(name, []).append((split, size))
    return named


def _sizes(entries: list[tuple[str, int]]) -> list[int]:
    return sorted(size for _, size in entries)


def _splits(entries: list[tuple[str, int]]) -> set[str]:
    return {split for split, _ in entries}
