"""Markdown from names that come out of data: none may end a cell or begin a tag."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&$]|:(?=//)|(?<=www)\.|@")
JOINERS = "\u200c\u200d"  # invisible, but part of words in Hindi and Persian


def escape(text: str) -> str:
    """One line that shows `text` as it is, wherever it stands in a line."""
    visible = (c if c.isprintable() or c in JOINERS else "�" for c in " ".join(text.split()))
    return SPECIAL.sub(r"\\\g<0>", "".join(visible))


def code(text: str) -> str:
    """The same as a code span, whatever backticks are in it."""
    shown = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if "`" in shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A title that starts with ">" is of a column aligned to the right; cells are Markdown."""
    rule = ["---:" if title.startswith(">") else "---" for title in titles]
    lines = [[title.lstrip(">") for title in titles], rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
