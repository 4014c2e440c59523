"""The checks that a data set must pass, whoever wrote it.

What it declares is true of its images, and they are the same ones wherever it is opened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

from cnnreg.data import DataConfig, Dataset, open_dataset
from cnnreg.data.config import reads_folders
from cnnreg.data.dataset import measure
from cnnreg.errors import CnnregError
from cnnreg.registry import Registry, load_registry
from cnnreg.specs import DatasetSpec, Samples
from cnnreg.specs.data import DOWNLOADS

from .check import Check, ViolationError, in_fresh_process, last_words, require

SAMPLE = 1000  # images of a split that are decoded, or looked for among the training images
NEAR = 0.05  # of 0..1: means and deviations of a sample and of published figures differ by less
COPIES = 0.01  # of the test images: the data sets that all use have some

ELSEWHERE = "import sys; from cnnreg.conformance.dataset import tell; tell(*sys.argv[1:])"


def dataset_checks(
    registry: Registry, *, downloads: Path = DOWNLOADS, folder: Path | None = None
) -> list[Check[DatasetSpec]]:
    """`downloads` is where files lie or go; `folder` is for the set of that name, as in use."""
    subjects = _Subjects(registry, downloads.absolute(), folder and folder.absolute())
    return [
        Check(name="opens", run=partial(_opens, subjects), basic=True),
        Check(name="classes", run=partial(_classes_are_true, subjects)),
        Check(name="shape", run=partial(_shape_is_true, subjects)),
        Check(name="images", run=partial(_images_are_as_declared, subjects)),
        Check(name="held out", run=partial(_test_is_held_out, subjects)),
        Check(name="repeatable", run=partial(_is_the_same_elsewhere, subjects)),
    ]


class _Subjects:
    """The data set that was asked for last, opened once for all checks."""

    def __init__(self, registry: Registry, downloads: Path, folder: Path | None) -> None:
        self._registry, self._downloads, self._folder = registry, downloads, folder
        self._last: tuple[DatasetSpec, Dataset] | None = None

    def config(self, spec: DatasetSpec) -> DataConfig:
        entries = self._registry.datasets.entries
        entry = next(entry for entry in entries if entry.spec is spec)
        folder = self._folder if reads_folders(entry) else None
        return DataConfig(name=entry.qualified, folder=folder, downloads=self._downloads)

    def of(self, spec: DatasetSpec) -> Dataset:
        if self._last is None or self._last[0] is not spec:
            self._last = spec, open_dataset(self._registry, self.config(spec))
        return self._last[1]


def _splits(dataset: Dataset) -> Iterator[tuple[str, Samples]]:
    return ((name, split.samples) for name, split in dataset.splits.items())


def _opens(subjects: _Subjects, spec: DatasetSpec) -> str:
    try:
        dataset = subjects.of(spec)
    except CnnregError as error:  # says what is missing, and what to do
        raise ViolationError(str(error)) from error
    counts = (f"{len(samples):,} {name}" for name, samples in _splits(dataset))
    return f"{', '.join(counts)} images"


def _classes_are_true(subjects: _Subjects, spec: DatasetSpec) -> str:
    dataset = subjects.of(spec)
    count = len(dataset.classes)
    require(spec.num_classes in (None, count), f"declares {spec.num_classes} classes, has {count}")
    for split, samples in _splits(dataset):
        shown = set(samples.labels.tolist())
        absent = [name for label, name in enumerate(dataset.classes) if label not in shown]
        if absent:
            raise ViolationError(f"no {split} image shows '{absent[0]}'")
    return f"{count} classes, each in every split"


def _shape_is_true(subjects: _Subjects, spec: DatasetSpec) -> str:
    """Images may be shown larger or smaller than they are, but not in other proportions."""
    if spec.image_shape is None:
        return "found in the images"
    channels, height, width = spec.image_shape
    for split, samples in _splits(subjects.of(spec)):
        if samples.pixels is None:  # photographs are cut or stretched, as the user says
            continue
        _, down, across, found = samples.pixels.shape
        require(
            found == channels and down * width == across * height,
            f"declares {channels}x{height}x{width}, the {split} images are {found}x{down}x{across}",
        )
    return f"images are shown as {channels}x{height}x{width}"


def _images_are_as_declared(subjects: _Subjects, spec: DatasetSpec) -> str:
    dataset = subjects.of(spec)
    parts = {name: split.take(SAMPLE) for name, split in dataset.splits.items()}
    for split, part in parts.items():
        for error in part.skipped[:1]:
            count = f"{len(part.skipped)} of {len(part.samples):,} {split} images"
            raise ViolationError(f"{count} cannot be read: {error}")
    if spec.mean is None or spec.std is None:
        return "all can be read"
    mean, std = measure(parts["train"])
    for what, declared, found in (("mean", spec.mean, mean), ("std", spec.std, std)):
        near = len(declared) == len(found) and all(
            abs(one - other) <= NEAR for one, other in zip(declared, found, strict=True)
        )
        require(near, f"declares a {what} of {_figures(declared)}, it is {_figures(found)}")
    return f"mean {_figures(mean)}, std {_figures(std)}"


def _figures(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _test_is_held_out(subjects: _Subjects, spec: DatasetSpec) -> str:
    dataset = subjects.of(spec)
    test = dataset.test.take(SAMPLE).samples
    sizes = {path.stat().st_size for path in test.files}
    trained = set(_digests(dataset.train.samples, sizes))
    copies = sum(digest in trained for digest in _digests(test, sizes))
    found = f"{copies} of {len(test):,} test images are among the training images"
    require(copies <= COPIES * len(test), found)
    return found


def _digests(samples: Samples, sizes: set[int]) -> Iterator[bytes]:
    """Of each image's bytes; of files those of these sizes alone, as no others are copies."""
    if samples.pixels is not None:
        yield from (sha256(image.tobytes()).digest() for image in samples.pixels)
    for path in samples.files:
        if path.stat().st_size in sizes:
            yield sha256(path.read_bytes()).digest()


def _is_the_same_elsewhere(subjects: _Subjects, spec: DatasetSpec) -> str:
    """A run knows its images by the fingerprint: another one would end its resuming."""
    same = subjects.of(spec).fingerprint == fingerprint_elsewhere(subjects.config(spec))
    require(same, "opened in another process, its classes, images or labels are others")
    return "opened in another process, it is the same"


def fingerprint_elsewhere(config: DataConfig) -> str:
    """In a fresh process, where sets have another order. Raises ViolationError."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    names = [config.name, str(config.downloads), str(config.folder or "")]
    done = in_fresh_process(ELSEWHERE, *names, PYTHONHASHSEED=seed)
    if done.returncode != 0:
        raise ViolationError(f"does not open in another process: {last_words(done)}")
    return done.stdout


def tell(name: str, downloads: str, folder: str = "") -> None:
    """The fresh process: prints the fingerprint alone."""
    place = Path(folder) if folder else None
    config = DataConfig(name=name, folder=place, downloads=Path(downloads))
    sys.stdout.write(open_dataset(load_registry(), config).fingerprint)
