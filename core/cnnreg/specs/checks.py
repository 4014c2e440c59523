"""What a spec's author may get wrong: every check raises ValueError with a whole sentence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from math import inf
from typing import Any

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def check(condition: bool, complaint: str) -> None:
    if not condition:
        raise ValueError(complaint)


def check_name(kind: str, name: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"{kind} name {name!r} must be 1 to 64 of a-z, 0-9, '_' or '-', "
            "starting with a letter or digit"
        )


def check_kinds(name: str, **fields: tuple[Any, type]) -> None:
    """Of a plugin's spec, whose author may have no type checker."""
    for field_name, (value, kind) in fields.items():
        fits = isinstance(value, kind) and (kind is bool or type(value) is not bool)
        check(
            fits or (kind is float and type(value) is int),
            f"{name}: {field_name} must be a {kind.__name__}: {value!r:.60}",
        )


def check_texts(name: str, **fields: Any) -> None:
    """Tuples of them, where a text alone would be taken for its letters."""
    for field_name, value in fields.items():
        check(
            isinstance(value, tuple) and all(isinstance(text, str) and text for text in value),
            f"{name}: {field_name} must be a tuple of texts: {value!r:.60}",
        )


def check_functions(name: str, **fields: Any) -> None:
    for field_name, value in fields.items():
        check(callable(value), f"{name}: {field_name} must be a function: {value!r:.60}")


def check_choices(name: str, known: Sequence[str], **fields: Any) -> None:
    """At least one of those known."""
    check_texts(name, **fields)
    for field_name, value in fields.items():
        check(
            bool(value) and set(value) <= set(known),
            f"{name}: {field_name} must be some of {', '.join(known)}: {value!r:.60}",
        )


def check_renames(name: str, renames: Any) -> None:
    """Pairs as `re.sub` takes them."""
    check(isinstance(renames, tuple), f"{name}: renames must be a tuple: {renames!r:.60}")
    for pair in renames:
        try:
            pattern, replacement = pair
            re.sub(pattern, replacement, "")
        except (re.error, TypeError, ValueError) as error:
            raise ValueError(f"{name}: renames hold {pair!r:.60}: {error}") from error


def is_harmless(text: str) -> bool:
    """Whether it holds nothing that drives a terminal: of such characters a tab and a new line."""
    control = (sign for sign in text if unicodedata.category(sign) == "Cc" and sign not in "\t\n")
    return text.isprintable() or not any(control)


def check_line(name: str, field_name: str, text: Any) -> None:
    """What stands in a table."""
    fits = isinstance(text, str) and text.strip() and text.isprintable()
    check(bool(fits), f"{name}: {field_name} must be a line of text, not {text!r:.60}")


def check_shape(name: str, shape: Any) -> None:
    whole = isinstance(shape, tuple) and all(type(size) is int and size > 0 for size in shape)
    check(
        whole and len(shape) == 3,
        f"{name}: a shape is (channels, height, width), not {shape!r:.60}",
    )


def check_moments(name: str, mean: Any, std: Any, channels: tuple[int, ...]) -> None:
    """Mean and deviation of pixels; `channels` says how many each may be."""
    for field_name, values, least in (("mean", mean, -inf), ("std", std, 0)):
        whole = isinstance(values, tuple) and len(values) in channels
        check(
            whole and all(isinstance(one, int | float) and least < one < inf for one in values),
            f"{name}: {field_name} must hold a number for each channel, std one above 0: "
            f"{values!r:.60}",
        )
    check(len(mean) == len(std), f"{name}: mean and std must be of as many channels")
    for one in mean:
        check(0 <= one <= 1, f"{name}: mean {one} is not of pixels of 0 to 1: divide by 255")
