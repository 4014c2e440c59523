"""Texts for people: figures, names and tables, and what a pattern means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from unicodedata import normalize


def aligned(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Titles and rows, each cell as wide as its column.

    A title that starts with ">" is of a column aligned to the right.
    """
    right = [title.startswith(">") for title in titles]
    lines = [[title.lstrip(">") for title in titles], *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        [
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(line, widths, right, strict=True)
        ]
        for line in lines
    ]


def listed(names: Iterable[str], most: int = 3) -> str:
    """The first of them: "a, b, c, ..."."""
    known = list(names)
    return ", ".join([*known[:most], *["..."] * (len(known) > most)])


def matches(pattern: str, *names: str) -> bool:
    """Whether one of them has it as a part, or is what it means with * and ?; in any case."""
    wanted = pattern.lower() if set(pattern) & set("*?[") else f"*{pattern.lower()}*"
    return any(fnmatch(name.lower(), wanted) for name in names)


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def composed(name: str) -> str:
    """However its accents are stored: a Mac may keep those apart from their letters."""
    return normalize("NFC", name)
