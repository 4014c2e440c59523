"""The names of the classes that a network made elsewhere tells apart."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from cnnreg.errors import DataError
from cnnreg.specs.checks import is_harmless

from .reading import printable

IMAGENET = "imagenet"
MAX_BYTES = 16 << 20
WORD_IN_BRACKETS = re.compile(r"\[\w+\]")  # a class of language models, no list
UNDERSTOOD = "A file with a name a line, or JSON: a list, or an object of names by number from 0 on"


def read_classes(text: str) -> tuple[str, ...]:
    """`imagenet`, or a file: a name a line, or JSON. Raises DataError."""
    if text == IMAGENET:
        from torchvision.models import ResNet18_Weights

        return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    file = Path(text)
    names = _parse(_read(file), file)
    if len(names) < 2:
        raise DataError(
            f"The file names {len(names)} class{'es' * (len(names) != 1)}; two are needed.",
            where=file,
            hint=f"{UNDERSTOOD}.",
        )
    if not all(isinstance(name, str) and name for name in names):
        raise DataError("A class without a name, or with one that is no text.", where=file)
    if not all(map(is_harmless, names)):
        raise DataError("A class is named with control characters.", where=file)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"The class '{printable(repeated[0])}' is named twice.", where=file)
    return tuple(names)


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise DataError(f"The file is larger than {MAX_BYTES >> 20} MiB.", where=file)
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"The names of the classes cannot be read: {error.strerror}.",
            where=file,
            hint=f"{UNDERSTOOD}, or `{IMAGENET}`.",
        ) from error
    except ValueError as error:
        raise DataError("The names of the classes are no UTF-8 text.", where=file) from error


def _parse(text: str, file: Path) -> list[Any]:
    first, *others = text.lstrip().split("\n", 1)
    if not first.startswith(("[", "{")) or (others and WORD_IN_BRACKETS.fullmatch(first.rstrip())):
        # Not by splitlines, which takes some characters of a name for the end of a line.
        return [line.strip() for line in text.split("\n") if line.strip()]
    try:
        names = json.loads(text)
        if isinstance(names, dict):
            names = [names[str(number)] for number in range(len(names))]
            names = _without_codes(names)
    except (ValueError, RecursionError) as error:
        raise DataError(f"Not whole JSON: {error}.", where=file, hint=f"{UNDERSTOOD}.") from error
    except KeyError as error:
        raise DataError(
            f"A JSON object without the class {error}.", where=file, hint=f"{UNDERSTOOD}."
        ) from error
    return list(names)


def _without_codes(names: list[Any]) -> list[Any]:
    """ImageNet's own file has a code before each name, which tells its two cranes apart."""
    bare = [name[-1] if isinstance(name, list) and name else name for name in names]
    count = Counter(name for name in bare if isinstance(name, str))
    return [
        f"{name} ({coded[0]})"
        if isinstance(coded, list) and len(coded) > 1 and isinstance(name, str) and count[name] > 1
        else name
        for name, coded in zip(bare, names, strict=True)
    ]
