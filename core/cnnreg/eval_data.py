"""Which images a model is evaluated on, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .data import DataConfig, Dataset
from .data.config import same_data
from .data.dataset import Split
from .data.listing import kept
from .data.whole import ALL, open_whole
from .errors import CnnregError, DataError
from .registry import Registry
from .run_data import data_for_model, fingerprint_of, is_another, named_data, with_classes
from .runs import Run, open_run, run_around
from .specs import ModelFile

SPLITS = ("test", "val", "train", ALL)
UNKNOWN = "which of these it was trained on is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a run knows of images, by name and size."""

    trained_on: int
    chosen_by: int  # which held its validation split
    alike: int  # called as one that it was trained on, of another size
    never_seen: int

    def __str__(self) -> str:
        told = [f"{self.trained_on:,} of them it was trained on"]
        if self.chosen_by:
            told.append(f"{self.chosen_by:,} it was chosen by")
        if self.alike:
            told.append(f"{self.alike:,} are called as such but of another size")
        return ", ".join([*told, f"{self.never_seen:,} it has never seen"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Images to evaluate on."""

    parts: list[Split]
    split: str
    label: str  # of the data, as of a Dataset
    folder: Path | None
    seen: Seen | None = None  # where it is known, and data were named, or all of them asked for
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A model, and what it is to be evaluated on."""

    registry: Registry
    model: ModelFile
    path: Path
    data: str | Path | None
    data_dir: Path | None

    def examples(self, split: str | None) -> Examples:
        """The images of that split; where none is named, of the one that was not trained on.

        That is every image of a folder that is not the run's own and has no test split.
        """
        config = self._config()
        if config is None or config.folder is None:
            return self._cut(split or "test")
        contract = self.model.contract
        whole = open_whole(
            self.registry, config, image_shape=contract.input_shape, classes=contract.classes
        )
        own = self._own(config)
        chosen = split or ("test" if own or "test" in whole else ALL)
        if chosen == ALL:
            parts = [*whole.values()]
        elif chosen in whole and chosen != "train":  # of which validation images may be cut
            parts = [whole[chosen]]
        else:
            return self._cut_of(whole, chosen)
        return self._examples(parts, chosen, config, own)

    def _cut_of(self, whole: dict[str, Split], split: str) -> Examples:
        try:
            return self._cut(split)
        except DataError as error:
            if ALL in whole:  # it may be too little to be split
                error.hint = "Leave --split away: every image is measured then."
            raise

    def _config(self) -> DataConfig | None:
        if self.data is None:
            return None
        return named_data(self.registry, self.model, self.path, self.data, self.data_dir)

    def _run(self) -> Run | None:
        folder = run_around(self.path)
        with suppress(CnnregError):  # whatever lies above the model, the data have been named
            return open_run(folder) if folder else None
        return None

    def _dataset(self) -> Dataset:
        """In the splits that the run made, or would have made of it."""
        dataset = data_for_model(self.registry, self.model, self.path, self.data, self.data_dir)
        return with_classes(dataset, self.model.contract.classes)

    def _cut(self, split: str) -> Examples:
        dataset = self._dataset()
        parts = [own for name, own in dataset.splits.items() if split in (name, ALL)]
        return self._examples(parts, split, dataset, dataset)

    def _examples(
        self, parts: list[Split], split: str, source: DataConfig | Dataset, own: Dataset | None
    ) -> Examples:
        known, remark = self._known(parts, own, split)
        return Examples(
            parts=parts,
            split=split,
            label=source.label,
            folder=source.folder,
            seen=known,
            remark=remark,
        )

    def _known(
        self, parts: list[Split], dataset: Dataset | None, split: str
    ) -> tuple[Seen | None, str]:
        """What the model has seen of them, and in words; `dataset`: the splits of its own images.

        Of one split of its own nothing need be told, unless data were named.
        """
        run = self._run()
        if run is not None and run.config.imported:
            return None, UNKNOWN
        if run is None and (dataset is None or is_another(self.model, dataset)):
            return None, f"{UNKNOWN}; evaluate the run itself"
        named = run is not None and self.data is not None
        if dataset and (named or split == ALL) and self._is_exactly(run, dataset):
            known: Seen | None = seen_of_own(dataset, split)
        else:
            known = seen(run, parts) if run and self.data else None
        return known, str(known or "")

    def _is_exactly(self, run: Run | None, dataset: Dataset) -> bool:
        told = run.config.data_fingerprint if run else fingerprint_of(self.model)
        return told == dataset.fingerprint

    def _own(self, config: DataConfig) -> Dataset | None:
        """The images of the model's run, if these are they, moved, or with others added."""
        try:
            dataset = self._dataset()
        except DataError:  # it has a class alone, say
            return None
        run = self._run()
        if run is None:
            return None if is_another(self.model, dataset) else dataset
        own = run.config.data
        if not same_data(self.registry, own, config):
            return None
        if own.folder and config.folder and own.folder.resolve() == config.folder.resolve():
            return dataset
        before = run.listed()
        return dataset if 2 * kept(before, dataset.listing()) >= len(before) else None


def seen_of_own(dataset: Dataset, split: str) -> Seen:
    """Of a run's own images, which their splits tell: names may be alike in two of them."""
    trained, chosen, never = (
        len(own) if split in (name, ALL) else 0 for name, own in dataset.splits.items()
    )
    return Seen(trained_on=trained, chosen_by=chosen, alike=0, never_seen=never)


def seen(run: Run, parts: Iterable[Split]) -> Seen | None:
    """None where it is not known which images the run had, or these are no files."""
    before, now = run.listed(), [file for part in parts for file in part.listing]
    if not before or not now:
        return None
    known: dict[tuple[int, str], set[str]] = {}
    for split, size, name in before:
        known.setdefault((size, name), set()).add(split)
    names = run.places()
    trained = chosen = alike = 0
    for size, name in now:
        splits = known.get((size, name))
        trained += "train" in (splits or ())
        chosen += splits is not None and "train" not in splits and "val" in splits
        alike += splits is None and "train" in names.get(name, ())
    never = len(now) - trained - chosen - alike
    return Seen(trained_on=trained, chosen_by=chosen, alike=alike, never_seen=never)
