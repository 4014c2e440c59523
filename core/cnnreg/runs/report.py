"""What a model got right and wrong on the test split, class by class: report.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnreg.errors import ModelFileError
from cnnreg.files import check_schema, read_json, write_json
from cnnreg.specs import to_data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnreg.specs import Labels

SCHEMA = 1
ENOUGH = 50  # test images: with fewer, chance alone is too wide to say anything
MISTAKES = 100  # the most confident ones that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassResult:
    name: str
    support: int  # test images of this class
    accuracy: float | None  # the share of them that was recognised (recall); None without any
    precision: float | None  # of the images said to be this class; None if there was none


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    index: int  # in the test split
    file: str | None  # where the data has files
    true: str
    predicted: str
    confidence: float  # softmax of the predicted class, 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    true: str
    predicted: str
    images: int
    support: int  # images of the true class


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One pass over the test split with the best weights."""

    epoch: int  # whose weights these are
    images: int
    accuracy: float
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]  # images: a row a true class, a column a predicted one
    mistakes: tuple[Mistake, ...]  # the most confident first

    @property
    def as_good(self) -> str:
        """The class that one could always answer, knowing nothing, as well; empty if there is none.

        Within two standard deviations of chance, and also where all classes count alike: who
        tells rare classes apart has learned something, though the commonest is as good.
        """
        seen = [of for of in self.classes if of.support]
        if self.images < ENOUGH:
            return ""
        commonest = max(seen, key=lambda of: of.support)
        share, even = commonest.support / self.images, 1 / len(seen)
        found = sum(of.accuracy or 0.0 for of in seen) * even
        spread = sqrt(share * (1 - share) / self.images)
        even_spread = even * sqrt(sum(even * (1 - even) / of.support for of in seen))
        nothing = self.accuracy <= share + 2 * spread and found <= even + 2 * even_spread
        return commonest.name if nothing else ""

    def confusions(self, count: int) -> list[Confusion]:
        """The pairs that are mixed up most often."""
        pairs = [
            Confusion(
                true=one.name,
                predicted=other.name,
                images=self.confusion[row][column],
                support=one.support,
            )
            for row, one in enumerate(self.classes)
            for column, other in enumerate(self.classes)
            if row != column and self.confusion[row][column]
        ]
        return sorted(pairs, key=lambda pair: -pair.images)[:count]


def make_report(
    labels: Labels,
    predicted: Labels,
    confidence: NDArray[np.float32],
    *,
    classes: Sequence[str],
    files: Sequence[Path] = (),
    epoch: int,
) -> Report:
    """Count the answers [N]; `files` are those of the images, or none."""
    import numpy as np

    number = len(classes)
    cells = np.bincount(labels * number + predicted, minlength=number**2)
    confusion = cells.reshape(number, number)
    right, support, said = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    wrong = np.flatnonzero(labels != predicted)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return Report(
        epoch=epoch,
        images=len(labels),
        accuracy=int(right.sum()) / len(labels),
        classes=tuple(
            ClassResult(
                name=name,
                support=int(support[index]),
                accuracy=_share(right[index], support[index]),
                precision=_share(right[index], said[index]),
            )
            for index, name in enumerate(classes)
        ),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        mistakes=tuple(
            Mistake(
                index=int(index),
                file=str(files[index]) if files else None,
                true=classes[labels[index]],
                predicted=classes[predicted[index]],
                confidence=float(np.nan_to_num(confidence[index])),
            )
            for index in chosen
        ),
    )


def write_report(path: Path, report: Report) -> None:
    write_json(path, {"schema": SCHEMA, "split": "test", **to_data(report)})


def read_report(path: Path) -> Report:
    """Raises ModelFileError if the file is damaged, MachineError if it cannot be read."""
    data = read_json(path)
    try:
        check_schema(data, SCHEMA, path)
        report = Report(
            epoch=int(data["epoch"]),
            images=int(data["images"]),
            accuracy=float(data["accuracy"]),
            classes=tuple(ClassResult(**item) for item in data["classes"]),
            confusion=tuple(tuple(int(count) for count in row) for row in data["confusion"]),
            mistakes=tuple(Mistake(**item) for item in data["mistakes"]),
        )
        if {len(row) for row in (report.confusion, *report.confusion)} != {len(report.classes)}:
            raise ValueError("the confusion matrix does not fit the classes")
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"Damaged report: {error}.", where=path) from error
    return report


def _share(part: Any, whole: Any) -> float | None:
    return int(part) / int(whole) if whole else None
