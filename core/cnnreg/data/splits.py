"""Seeded stratified splits: each class gives the same share, and every image has one place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from cnnreg.errors import DataError
from cnnreg.specs import Samples, SourceData

from .config import DataConfig
from .listing import Places, common_folder, relative_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnreg.specs import Labels

    Indices = NDArray[np.intp]


class Parts(NamedTuple):
    train: Samples
    val: Samples
    test: Samples


def complete(source: SourceData, config: DataConfig, before: Places | None = None) -> Parts:
    """Cut a missing test and then a missing validation split out of the training images.

    Given splits pass untouched. Files that were in a split `before` stay in it, whatever
    was added since: what was trained on must not turn up in a test. Raises DataError, with
    counts, if a class is too small.
    """
    _check_classes(source, config)
    train, val, test = source.train, source.val, source.test
    root = common_folder(train.files) if before else ""
    if test is None:
        train, test = _cut(train, "test", config, before, root, least=1 + (val is None))
    if val is None:
        train, val = _cut(train, "val", config, before, root, least=1)
    return Parts(train, val, test)


def stratified(labels: Labels, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Indices, ascending, of what stays and what is held out: one or more of each class."""
    import numpy as np

    order = shuffled(len(labels), seed)
    held: list[Indices] = []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        held.append(members[: max(1, int(len(members) * fraction))])
    chosen = np.zeros(len(labels), bool)
    chosen[np.concatenate(held)] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def shuffled(count: int, seed: int) -> Indices:
    """A permutation that no version of numpy changes: raw PCG64 output is a frozen stream."""
    import numpy as np

    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def select(samples: Samples, indices: Indices) -> Samples:
    if samples.pixels is not None:
        return Samples(labels=samples.labels[indices], pixels=samples.pixels[indices])
    files = tuple(samples.files[index] for index in indices)
    return replace(samples, labels=samples.labels[indices], files=files)


def _cut(
    samples: Samples,
    split: Literal["val", "test"],
    config: DataConfig,
    before: Places | None,
    root: str,
    *,
    least: int,
) -> tuple[Samples, Samples]:
    """What stays, `least` or more of each class, and what is held out."""
    if before and samples.files:
        places = [before.get(name, set[str]()) for name in relative_names(samples.files, root)]
        stay, held = _as_before(samples.labels, split, config, places, least)
    else:
        stay, held = stratified(samples.labels, _fraction(config, split), config.split_seed)
    return select(samples, stay), select(samples, held)


def _as_before(
    labels: Labels, split: str, config: DataConfig, places: list[set[str]], least: int
) -> tuple[Indices, Indices]:
    """`stratified` for the files that are new; of each class `least` stay and one is held out.

    Where a class has become too small for that, new files change sides first, then those
    that another split held, and last what was trained on.
    """
    import numpy as np

    new = np.array([not place for place in places])
    trained = np.array(["train" in place for place in places])
    rank = np.where(new, 0, np.where(trained, 2, 1))
    # Given splits may share names: what was trained on under one is taken for trained on.
    held = np.array([split in place for place in places]) & ~trained
    order = shuffled(len(places), config.split_seed)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        added = members[new[members]]
        held[added[: int(len(added) * _fraction(config, split))]] = True
        lacking = least - np.count_nonzero(~held[members])
        if lacking > 0:
            taken = members[held[members]]
            held[taken[np.argsort(rank[taken], kind="stable")][:lacking]] = False
        if not held[members].any():
            held[members[np.argsort(rank[members], kind="stable")][0]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _fraction(config: DataConfig, split: str) -> float:
    return config.test_fraction if split == "test" else config.val_fraction


def _check_classes(source: SourceData, config: DataConfig) -> None:
    import numpy as np

    if len(source.classes) < 2:
        raise DataError(
            f"There is only one class: {', '.join(source.classes) or 'none'}.",
            where=config.folder,
            hint="A classifier needs two or more.",
        )
    needed = 1 + (source.val is None) + (source.test is None)
    counts = np.bincount(source.train.labels, minlength=len(source.classes))
    small = [name for name, n in zip(source.classes, counts, strict=True) if n < needed]
    if small:
        ranked = sorted(zip(counts, source.classes, strict=True))
        shown = ", ".join(f"{name} {count}" for count, name in ranked)
        raise DataError(
            f"Class '{small[0]}' has too few training images: {needed} or more are needed.",
            where=config.folder,
            hint=f"Images per class: {shown:.400}.",
        )
