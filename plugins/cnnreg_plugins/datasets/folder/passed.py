"""What is not read in a folder of images, and how it is told."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from cnnreg.images import is_image
from cnnreg.manifest import is_clutter

from .looking import ClassFolder, ignored

# What cameras, programs and people keep beside pictures, and nobody takes for one.
SIDECARS = (
    *(".txt", ".json", ".jsonl", ".xml", ".csv", ".tsv", ".md", ".html", ".yaml", ".yml", ".ini"),
    *(".db", ".log", ".aae", ".xmp", ".thm", ".url", ".lnk", ".py", ".tmp"),
)
PICTURES = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".cr2", ".cr3", ".nef", ".arw", ".dng")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
FEW = 3  # classes or folders that are named
LINK = "linked folder"
KINDS = 6  # endings, the most frequent, that are named


class Passed:
    def __init__(self) -> None:
        self._files: dict[str, Counter[str]] = {}  # by ending: how many in which class
        self._others: list[str] = []

    def in_class(self, name: str, looked: ClassFolder) -> None:
        for file in looked.others:
            ending = Path(file).suffix.lower()
            if not (is_clutter(file) or ending in SIDECARS):
                self._add(ending or "without an ending", name)
        if looked.links:
            self._add(LINK, name, looked.links)

    def beside_classes(self, root: Path) -> None:
        """Pictures that lie where class folders are looked for."""
        names = [path.name for path in root.iterdir() if path.is_file()]
        count = sum(is_image(name) or name.lower().endswith(PICTURES) for name in names)
        if count:
            self._others.append(f"{count:,} {_plural('picture', count)} beside the class folders")

    def beside_splits(self, folders: Iterable[Path], split: Path) -> None:
        """Folders that hold images but are no split."""
        names = [folder.name for folder in folders if _holds_image(folder)]
        if names:
            told = f"the {_plural('folder', len(names))} {listed(names)}"
            self._others.append(f"{told} beside '{split.name}'")

    def notes(self) -> tuple[str, ...]:
        kinds = sorted(self._files.items(), key=lambda item: (-item[1].total(), item[0]))
        told = [_files(kind, places) for kind, places in kinds[:KINDS]]
        if rest := sum(places.total() for _, places in kinds[KINDS:]):
            told.append(f"{rest:,} other {_plural('file', rest)}")
        told += self._others
        return (f"not used: {', '.join(told)}",) if told else ()

    def _add(self, kind: str, place: str, count: int = 1) -> None:
        self._files.setdefault(kind, Counter())[place] += count


def _files(kind: str, places: Counter[str]) -> str:
    count, cure = places.total(), ""
    if kind in PICTURES:
        cure = " (save as JPEG)"
    elif kind in ARCHIVES:
        cure = " (unpack)"
    what = _plural(LINK, count) if kind == LINK else kind
    return f"{count:,} {what} in {listed(sorted(places))}{cure}"


def listed(names: list[str]) -> str:
    shown, rest = names[:FEW], len(names) - FEW
    last = f"{rest:,} more" if rest > 0 else shown.pop()
    return f"{', '.join(shown)} and {last}" if shown else last


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _holds_image(folder: Path) -> bool:
    for parent, folders, names in os.walk(folder):
        if any(map(is_image, names)):
            return True
        folders[:] = [name for name in folders if not ignored(Path(parent, name))]
    return False
