"""Which plugins are installed, from metadata alone: nothing of theirs is run."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points

from .hookspecs import ENTRY_POINT_GROUP


def discovered() -> dict[str, EntryPoint]:
    """Entry points by plugin name.

    A name used twice gains its package, and within one package what it points to.
    """
    points = sorted(_entry_points(), key=lambda p: (p.name, *package_of(p), p.value))
    names = Counter(point.name for point in points)
    qualified = Counter((point.name, package_of(point)) for point in points)

    def name_of(point: EntryPoint) -> str:
        package = package_of(point)
        if names[point.name] == 1:
            return point.name
        twice = qualified[point.name, package] > 1
        return f"{package[0]}:{point.name}" + (f"={point.value}" if twice else "")

    return {name_of(point): point for point in points}


def own_name(name: str) -> str:
    """What a plugin calls itself, without what tells it apart from another of that name."""
    return name.partition("=")[0].rpartition(":")[2]


def _entry_points() -> Iterable[EntryPoint]:
    """Of all installed packages; one whose list cannot be read costs its own at most."""
    try:
        return entry_points(group=ENTRY_POINT_GROUP)
    except Exception:  # noqa: BLE001 - a single line of any package breaks them all
        return list(_one_by_one())


def _one_by_one() -> Iterator[EntryPoint]:
    group, seen = ENTRY_POINT_GROUP, set[str]()
    for distribution in distributions():
        name = _name_and_version(distribution)[0]
        if name and name in seen:  # behind another on the path
            continue
        seen.add(name)
        try:
            yield from distribution.entry_points.select(group=group)
        except Exception:  # noqa: BLE001 - as above
            with suppress(OSError, ValueError):  # a text that is none offers nothing
                if f"[{group}]" in (distribution.read_text("entry_points.txt") or ""):
                    yield EntryPoint(name, "a line of entry_points.txt without =", group)


def package_of(point: EntryPoint) -> tuple[str, str]:
    return _name_and_version(point.dist) if point.dist else ("", "")


@functools.cache  # each look at a package's metadata parses the whole of it again
def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    """Empty texts for a folder that a broken removal left without its metadata."""
    try:
        return distribution.name or "", distribution.version or ""
    except Exception:  # noqa: BLE001 - None in older versions of Python, an error in newer ones
        return "", ""
