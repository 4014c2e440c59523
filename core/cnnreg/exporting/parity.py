"""Is an exported model equal to its original? Measured on real images, judged by precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from cnnreg.errors import GateError
from cnnreg.specs import Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnreg.specs import Labels, Logits

FP32_TOLERANCE = 1e-3  # of an image's largest logit
ROUNDING = 1e-5  # of a usual image's largest, which is left of logits that cancel each other
MIN_AGREEMENT = {
    "fp32": 0.99,
    "fp16": 0.99,
    "bf16": 0.98,
    "int8": 0.0,
}  # int8 is judged by accuracy alone
DEFAULT_MAX_DROP = {"fp16": 0.5, "bf16": 0.5, "int8": 1.0}  # percentage points of top-1


@dataclass(frozen=True, slots=True)
class ClassLoss:
    """What a class of the validation images lost; shares recognised are 0..1."""

    name: str
    images: int
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Accuracies and agreement are 0..1; differences are in logits."""

    images: int  # whose logits are compared
    judged: int  # of them, those of the validation split, which accuracy is measured on
    drop_on_all: float | None = None  # in points, where the others must keep to the budget too
    largest_difference: float
    mean_difference: float
    tolerance: float  # of the image that is worst against its own; 0 where none is judged
    agreement: float  # share of images with the same top-1 class
    original_accuracy: float
    exported_accuracy: float
    worst_class: ClassLoss | None = None  # the one that lost most, if any did
    complaint: str  # why it fails; empty: it holds
    device: str = "CPU"  # that the exported model ran on
    device_name: str = ""  # its full name; older versions do not tell this and what follows
    driver: str = ""
    engine: str = ""  # with its version

    @property
    def holds(self) -> bool:
        return not self.complaint

    @property
    def drop(self) -> float:
        """Lost accuracy in percentage points, negative for a gain; the larger where two count."""
        lost = 100 * (self.original_accuracy - self.exported_accuracy)
        return lost if self.drop_on_all is None else max(lost, self.drop_on_all)

    @property
    def decided_on(self) -> int:
        """How many images that drop was measured on."""
        return self.images if self.drop == self.drop_on_all else self.judged

    def settles(self, max_drop: float) -> bool:
        """Whether the drop is further from its limit than chance carries: two standard errors.

        Only images with another top-1 class than before can change the accuracy.
        """
        error = 100 * sqrt((1 - self.agreement) / max(1, self.judged))
        return abs(self.drop - max_drop) >= 2 * error


def within(max_drop: float, drop: float) -> bool:
    """Whether a drop keeps to its budget, both in points; nothing does if that is no number."""
    return drop <= max_drop + 1e-9


def compare(
    original: Logits,
    exported: Logits,
    labels: Labels,
    *,
    precision: Precision,
    max_drop: float,
    others: Labels | None = None,
    classes: Sequence[str] = (),
) -> Parity:
    """Measure and judge; `max_drop` is in percentage points of top-1 accuracy.

    `labels` are those of the first images, which accuracy is measured on, `others` those
    of training images behind them. Few images could hide what int8 costs: where there
    are others, it must keep to its budget on all of them together too.
    fp32 is judged by its logits, each image by its own: where none differs by more than the
    tolerance, top-1 can differ only between classes that were nearly level. Logits that have
    much in common, which softmax drops, may all be: so the class must be the same too. An
    accuracy can hide that a rare class is lost: of `classes`, the one that lost most is told.
    Raises GateError where there is nothing to compare.
    """
    import numpy as np

    if not np.isfinite(original).all():
        raise GateError("The original's own logits hold NaN or infinity.")
    if exported.shape != original.shape:
        raise GateError(f"The export answers {exported.shape}, the original {original.shape}.")
    difference = np.abs(original - exported)
    tolerances = _tolerances(original)
    excess = difference.max(1) - tolerances
    worst = int(excess.argmax())
    same = original.argmax(1) == exported.argmax(1)
    every = None
    if precision == "int8" and others is not None and len(others):
        every = np.concatenate([labels, others])
    complaint = ""
    if not np.isfinite(exported).all():
        complaint = "its logits hold NaN or infinity"
    elif precision == "fp32":
        if excess[worst] > 0:
            complaint = (
                f"in {(excess > 0).sum():,} of {len(original):,} images logits differ too much: in "
                f"the worst by {difference[worst].max():.2g}, tolerance {tolerances[worst]:.2g}"
            )
        elif (kept := _kept(same, original)) < MIN_AGREEMENT["fp32"]:
            complaint = f"top-1 agreement is {100 * kept:.2f} % where two classes are not level"
    elif same.mean() < MIN_AGREEMENT.get(precision, 0.0):
        complaint = f"top-1 agreement is {100 * same.mean():.2f} %"
    else:
        complaint = _loss(original, exported, labels, max_drop)
        if every is not None and not complaint:
            complaint = _loss(original, exported, every, max_drop, " with training images")
    return Parity(
        images=len(original),
        judged=len(labels),
        drop_on_all=None if every is None else _drop(original, exported, every),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        tolerance=float(tolerances[worst]) if precision == "fp32" else 0.0,
        agreement=float(same.mean()),
        original_accuracy=_accuracy(original, labels),
        exported_accuracy=_accuracy(exported, labels),
        worst_class=_worst_class(original, exported, labels, classes),
        complaint=complaint,
    )


def largest_logits(logits: Logits) -> NDArray[np.floating]:
    """Of each image, whatever their sign. One picture may have a thousand times another's."""
    import numpy as np

    largest: NDArray[np.floating] = np.abs(logits).max(1)
    return largest


def _tolerances(original: Logits) -> NDArray[np.floating]:
    import numpy as np

    largest = largest_logits(original)
    least = ROUNDING * np.median(largest)
    tolerances: NDArray[np.floating] = np.maximum(FP32_TOLERANCE * largest, least)
    return tolerances


def _kept(same: NDArray[np.bool_], original: Logits) -> float:
    """The share of images with the same class, of those whose two likeliest were not level."""
    import numpy as np

    if original.shape[1] < 2:
        return 1.0
    second, first = np.sort(original, axis=1)[:, -2:].T
    spread = np.median(np.abs(original - original.mean(1, keepdims=True)).max(1))
    rounding = ROUNDING * np.median(largest_logits(original))
    decided = first - second > max(FP32_TOLERANCE * spread, rounding)
    return float(same[decided].mean()) if decided.any() else 1.0


def _accuracy(logits: Logits, labels: Labels) -> float:
    """On the first images, whose labels they are."""
    return float((logits[: len(labels)].argmax(1) == labels).mean())


def _worst_class(
    original: Logits, exported: Logits, labels: Labels, classes: Sequence[str]
) -> ClassLoss | None:
    """By share of its own images; of several, the one with most of them."""
    import numpy as np

    right = [logits[: len(labels)].argmax(1) == labels for logits in (original, exported)]
    losses = []
    for number, name in enumerate(classes):
        own = labels == number
        if own.any():
            before, after = (float(one[own].mean()) for one in right)
            losses.append(ClassLoss(name, int(np.count_nonzero(own)), before, after))
    worst = max(losses, key=lambda one: (one.before - one.after, one.images), default=None)
    return worst if worst and worst.after < worst.before else None


def _drop(original: Logits, exported: Logits, labels: Labels) -> float:
    return 100 * (_accuracy(original, labels) - _accuracy(exported, labels))


def _loss(
    original: Logits, exported: Logits, labels: Labels, max_drop: float, images: str = ""
) -> str:
    """In words, where the accuracy drops by more than its budget; else empty."""
    if within(max_drop, _drop(original, exported, labels)):
        return ""
    before, after = (_accuracy(logits, labels) for logits in (original, exported))
    return (
        f"accuracy drops from {100 * before:.2f} to {100 * after:.2f} %{images} "
        f"(limit {max_drop:g} points)"
    )
