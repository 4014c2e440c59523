"""One int8 file out of several attempts: the first within the budget."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from cnnreg.specs import ModelFile

from .budget import Attempt, Quantised, Verdict, search
from .parity import Parity
from .proof import FAULTS

if TYPE_CHECKING:
    from torch import Tensor

    from cnnreg.training.saving.progress import Progress

    from .order import Order
    from .original import Original

RANKING_IMAGES = 32


@dataclass(frozen=True, slots=True)
class Trial:
    """A written file and what came of comparing it, up to the first engine that refuses it."""

    model: ModelFile
    parity: dict[str, Parity]  # by runtime

    @property
    def refused(self) -> str | None:
        """The engine in which it does not hold."""
        return next((name for name, parity in self.parity.items() if not parity.holds), None)

    @property
    def faulty(self) -> bool:
        """Whether the network holds, but not what a self-contained file adds to it."""
        return any(parity.complaint in FAULTS for parity in self.parity.values())

    @property
    def worst(self) -> Parity:
        return max(self.parity.values(), key=lambda parity: parity.drop)


def int8_within_budget(
    order: Order, write: Callable[[Attempt], Trial]
) -> tuple[Trial, Quantised | None]:
    """The file to publish and how it came about; or, with None, the one that lost least."""
    started = perf_counter()
    best: Trial | None = None

    def judge(attempt: Attempt) -> Verdict:
        nonlocal best
        trial = write(attempt)
        holds, drop = trial.refused is None, trial.worst.drop
        better = best is None or holds or (best.refused is not None and drop < best.worst.drop)
        if dropped := best if better else trial:
            shutil.rmtree(dropped.model.path.parent, ignore_errors=True)
        best = trial if better else best
        return Verdict(holds, drop)

    attempt = search(
        judge,
        refines=order.exporter.refines,
        layer_errors=lambda: _layer_errors(order.original),
        finetuned=lambda on_step: _finetuned(order, on_step),
        minutes=order.max_minutes,
        step=order.step,
    )
    assert best is not None, "the first attempt was written, or has raised"
    if attempt is None:
        return best, None
    worst = best.worst
    return best, Quantised(
        way=attempt.way,
        float_layers=attempt.quantisation.float_layers,
        epochs=attempt.epochs,
        calibration_images=len(order.original.calibration),
        judging_images=worst.decided_on,
        original_accuracy=worst.original_accuracy,
        accuracy=worst.exported_accuracy,
        seconds=perf_counter() - started,
    )


def _layer_errors(original: Original) -> Iterator[tuple[str, float]]:
    import torch

    from cnnreg.images import normalise
    from cnnreg.training.qat.fake_quant import layer_errors

    contract = original.model.contract
    images = original.calibration[:RANKING_IMAGES]
    inputs = torch.from_numpy(normalise(images, contract.mean, contract.std))
    return layer_errors(original.build(), inputs)


def _finetuned(order: Order, on_step: Callable[[Progress], None]) -> Iterable[dict[str, Tensor]]:
    from cnnreg.training.qat.finetuning import finetuned

    original = order.original
    return finetuned(
        order.registry,
        original.checkpoint,
        original.run.config.recipe,
        original.dataset,
        original.calibration,
        on_step=on_step,
    )
