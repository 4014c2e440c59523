"""Any folder of class folders, with or without train, val and test folders above them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cnnreg import DataError, DataRequest, DatasetSpec, Samples, SourceData, UsageError, hookimpl
from cnnreg.images import EXTENSIONS, unreadable_folder
from cnnreg.texts import composed

from .looking import ClassFolder, ignored, look
from .passed import Passed, listed
from .splits import by_split, is_split, refuse_splits

# Not printable by themselves, but parts of emoji and of Persian and Indian words.
JOINERS = dict.fromkeys((0x200C, 0x200D, 0xFE0F))


def open_folder(request: DataRequest) -> SourceData:
    """A class's id is the place of its folder's name among all names, sorted.

    Images are found at any depth of a class folder, in an order that no file
    system decides. Links to files and to class folders are followed, links to
    folders inside a class are not, so that no loop can trap the search.
    """
    if request.folder is None:
        raise UsageError("The data set 'folder' needs a folder.", hint="Say --data PATH.")
    try:
        return (_every_image if request.whole else _for_training)(request.folder)
    except OSError as error:  # of a folder that may be listed, say, and not entered
        unreadable_folder(error)


def _for_training(root: Path) -> SourceData:
    passed = Passed()
    splits = _split_folders(root)
    if "train" not in splits:
        classes = _looked(_class_folders(root), passed)
        passed.beside_classes(root)
        refuse_splits(root, classes)
        notes = (*passed.notes(), *_doubts(classes))
        return SourceData(
            classes=tuple(classes), train=_samples(classes), notes=notes, augment=_augment(classes)
        )
    train = _class_folders(splits["train"])
    parts: dict[str, Any] = {
        split: _samples(
            _looked(train if split == "train" else _same_classes(train, folder), passed)
        )
        for split, folder in splits.items()
    }
    for folder in splits.values():
        passed.beside_classes(folder)
    others = [folder for folder in _folders(root).values() if folder not in splits.values()]
    passed.beside_splits(others, splits["train"])
    return SourceData(classes=tuple(train), notes=passed.notes(), augment=_augment(train), **parts)


def _augment(classes: Iterable[str]) -> str:
    """Classes of one character each are digits or letters, which mirrored are others, or none."""
    return "crop" if all(len(name) == 1 for name in classes) else ""


def _every_image(root: Path) -> SourceData:
    """In the splits that are there, if any, of whatever classes each of them holds."""
    passed = Passed()
    named = {name: path for name, path in _folders(root).items() if is_split(name)}
    of_folders = {name: path for name, path in named.items() if _folders(path)}
    parts = {
        split: _looked(_class_folders(folder), passed)
        for split, folder in by_split(of_folders, root).items()
    } or {"train": _looked(_class_folders(root), passed)}
    classes = sorted({name for found in parts.values() for name in found})
    samples: dict[str, Any] = {s: _samples(found, classes) for s, found in parts.items()}
    first = "train" if "train" in samples else max(samples)  # of two, the test split is one
    return SourceData(
        classes=tuple(classes), train=samples.pop(first), notes=passed.notes(), **samples
    )


def _split_folders(root: Path) -> dict[str, Path]:
    """Split folders: called so, and holding folders, not images; none, or one for training too."""
    found = by_split(_folders(root), root)
    if "train" in found:
        return found if _folders(found["train"]) else {}
    if astray := [folder.name for folder in found.values() if _folders(folder)]:
        raise DataError(
            f"There is a folder '{astray[0]}' of class folders, but none for training.",
            where=root,
            hint="Call the folder of the training images 'train'.",
        )
    return {}  # classes of such names


def _doubts(classes: dict[str, ClassFolder]) -> tuple[str, ...]:
    """Of folders that hold folders of the same names: years, say, with the classes in each.

    A note, no error: sessions of one name in each class look the same.
    """
    twins: dict[frozenset[str], list[str]] = {}
    for name, looked in classes.items():
        if len(looked.inner) > 1 and not looked.flat:
            twins.setdefault(looked.inner, []).append(name)
    return tuple(
        f"the classes are {listed(names)}, which all hold {listed(sorted(inner))}; "
        "if those are the classes, name one folder above them with --data"
        for inner, names in twins.items()
        if len(names) > 1
    )


def _class_folders(root: Path) -> dict[str, Path]:
    folders = _folders(root)
    if not folders:
        raise DataError(
            "There are no class folders here.",
            where=root,
            hint="Images belong in one folder for each class: cat/1.jpg, dog/1.jpg.",
        )
    return folders


def _folders(root: Path) -> dict[str, Path]:
    """Visible folders by name, sorted; a link back to `root` or above it is none of them."""
    try:
        paths = sorted(root.iterdir(), key=lambda path: composed(path.name))
    except OSError as error:
        unreadable_folder(error)
    real = root.resolve()
    folders: dict[str, Path] = {}
    seen: dict[str, Path] = {}
    for path in paths:
        if not path.is_dir() or ignored(path) or real.is_relative_to(path.resolve()):
            continue
        name = composed(path.name)
        if not name.translate(JOINERS).isprintable():
            raise DataError(
                f"A folder's name is not readable text: {name!r}.", where=root, hint="Rename it."
            )
        twin = seen.setdefault(composed(name.casefold()), path)
        if twin is not path:
            raise DataError(
                f"Two folders differ only in upper and lower case, or in how accents are stored: "
                f"{_names([twin, path])}.",
                where=root,
                hint="Many systems cannot tell them apart: rename or merge them.",
            )
        folders[name] = path
    return folders


def _same_classes(train: dict[str, Path], folder: Path) -> dict[str, Path]:
    """By the training images' names and in their order."""
    folders = _class_folders(folder)
    if unknown := folders.keys() - train.keys():
        raise DataError(f"Class '{min(unknown)}' is not among the training images.", where=folder)
    if missing := train.keys() - folders.keys():
        raise DataError(f"Class '{min(missing)}' is missing in this split.", where=folder)
    return {name: folders[name] for name in train}


def _looked(classes: dict[str, Path], passed: Passed) -> dict[str, ClassFolder]:
    found = {name: look(folder) for name, folder in classes.items()}
    for name, looked in found.items():
        if not looked.images:
            raise DataError(
                f"Class '{name}' has no images.",
                where=classes[name],
                hint=f"Images end in {', '.join(EXTENSIONS)}.",
            )
        passed.in_class(name, looked)
    return found


def _samples(classes: dict[str, ClassFolder], names: Sequence[str] = ()) -> Samples:
    """Labels are places in `names`; without them, in `classes`."""
    import numpy as np

    counts = [len(looked.images) for looked in classes.values()]
    order = list(names or classes)
    places = np.array([order.index(name) for name in classes], np.int64)
    return Samples(
        labels=np.repeat(places, counts),
        files=tuple(path for looked in classes.values() for path in looked.images),
    )


def _names(paths: list[Path]) -> str:
    return " and ".join(path.name for path in paths)


@hookimpl
def cnnreg_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="folder",
            summary="your own images: one folder for each class, or train/val/test above them",
            open=open_folder,
            licence="the images' own",
        )
    ]
