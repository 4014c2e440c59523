"""Texts for people: figures, names and tables, and what a pattern means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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
