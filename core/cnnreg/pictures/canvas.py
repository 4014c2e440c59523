"""Paper for pictures: fonts for names in any script, no text taken for a formula, two formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from cnnreg.files import write_bytes

FORMATS = ("png", "svg")
DOTS_PER_INCH = 130
FONT = "DejaVu Sans"  # comes with matplotlib
# What Linux, Windows and macOS bring for the scripts that it lacks.
FALLBACKS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Nirmala UI",
    "Leelawadee UI",
    "Noto Emoji",
    "Segoe UI Symbol",
)


@contextmanager
def drawing() -> Iterator[None]:
    """Within it figures are made and saved: class names may hold $, _, or any script."""
    settings: Any = {
        "font.family": list(fonts()),
        "text.parse_math": False,
        "text.usetex": False,
        "svg.hashsalt": "cnnreg",  # equal pictures, equal files
    }
    with mpl.rc_context(settings):
        yield


def save(figure: Figure, path: Path, formats: Sequence[str] = FORMATS) -> None:
    """Write `path` in each format, its suffix replaced."""
    for name in formats:
        buffer = BytesIO()
        metadata = {"Date": None} if name == "svg" else None
        figure.savefig(buffer, format=name, dpi=DOTS_PER_INCH, metadata=metadata)
        write_bytes(path.with_suffix(f".{name}"), buffer.getvalue())
        figure.set_layout_engine("none")  # it has its layout, which takes long to find


def labels(classes: Sequence[str], longest: int = 24) -> list[str]:
    """The names as they can be drawn: cut, or a number where no font has the letters."""
    return [
        shorten(name, longest) if drawable(name) else f"class {index}"
        for index, name in enumerate(classes)
    ]


def drawn(text: str) -> str:
    """One line, with a question mark for each letter that no font has."""
    return "".join(letter if drawable(letter) else "?" for letter in text)


def shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def drawable(text: str) -> bool:
    return text.isprintable() and {ord(letter) for letter in text} <= _letters()


@cache
def fonts() -> tuple[str, ...]:
    return FONT, *(name for name in FALLBACKS if _installed(name))


def _installed(name: str) -> bool:
    from matplotlib.font_manager import fontManager

    return any(font.name == name for font in fontManager.ttflist)


@cache
def _letters() -> frozenset[int]:
    return frozenset(
        letter for name in fonts() for letter in get_font(findfont(name)).get_charmap()
    )
