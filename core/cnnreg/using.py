"""Using a model that is there: open it, ask it, measure it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from .answers import answers_of, softmax
from .chance import interval
from .engines import check_threads, choose_runtime, open_session
from .errors import DataError, UsageError
from .eval_data import SPLITS, Asked, Seen
from .images import fit, from_pixels, read_image
from .models import find_model
from .registry import Registry, load_registry
from .runs import Run, placed
from .runs.report import ClassResult, make_report
from .runs.weights import is_outdated
from .specs import ModelContract, ModelFile, RuntimeOptions, RuntimeSpec, Session

if TYPE_CHECKING:
    from .specs import Labels, Logits, Pixels


@dataclass(frozen=True, slots=True)
class Model:
    """A model opened in an engine."""

    path: Path  # of a run, an export folder, or a model file
    file: ModelFile
    runtime: RuntimeSpec
    session: Session
    registry: Registry

    @property
    def classes(self) -> tuple[str, ...]:
        return self.file.contract.classes


@dataclass(frozen=True, slots=True)
class Guess:
    name: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Accuracy (0..1) on a split, in all and class by class."""

    accuracy: float
    interval: tuple[float, float]  # that holds it by all likelihood (95 %)
    top5: float | None  # the label among the five likeliest; None for ten classes or fewer
    right: int
    images: int
    data: str
    folder: Path | None  # of the images, where the data are no data set by name
    split: str
    seconds: float
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]  # images: a row a true class, a column an answer
    seen: Seen | None = None  # of data that were named, or of all, where it is known
    remark: str = ""  # the same in words, or that it is not known


def place_of(model: Run | Path | str) -> Path:
    if isinstance(model, Run):
        return model.folder
    if not isinstance(model, (str, Path)):
        raise UsageError(f"A model is a run, or a path, not {type(model).__name__}.")
    return placed(Path(model))


def load(
    model: Run | Path | str,
    *,
    runtime: str | None = None,
    device: str = "CPU",
    threads: int | None = None,
    note: Callable[[str], None] = lambda text: None,
    registry: Registry | None = None,
) -> Model:
    """Open a run, an export folder or a model file; the engine is the format's own unless named.

    A run may be called by the name that `cnnreg runs` shows.
    Raises UsageError, ModelFileError, MachineError or PluginError.
    """
    check_threads(threads)
    registry, path = registry or load_registry(), place_of(model)
    file = find_model(registry, path)
    if is_outdated(file.path.parent):
        note(f"{file.path} is of older weights: export the run again")
    engine = choose_runtime(registry, file, runtime)
    options = RuntimeOptions(device=device, threads=threads, note=note)
    session = open_session(engine, file, options)
    return Model(path, file, engine, session, registry)


def _opened(model: Model | Run | Path | str) -> Model:
    return model if isinstance(model, Model) else load(model)


def predict(
    model: Model | Run | Path | str, picture: Path | str | Pixels, *, top: int = 3
) -> list[Guess]:
    """The `top` most likely classes, the likeliest first.

    For several pictures `load` the model once: by name it is opened anew each time.
    `picture` is an image file, or uint8 pixels [H, W, C] of any size, C being 1 or 3.
    Raises DataError if it cannot be read, MachineError or ModelFileError without an answer.
    """
    import numpy as np

    if not hasattr(top, "__index__") or top < 1:
        raise UsageError(f"top must be a whole number from 1 on, not {top!r:.30}.")
    model = _opened(model)
    pixels = pixels_for(model.file.contract, picture)
    shares = softmax(_answers(model, pixels[None]))[0]
    return [Guess(model.classes[i], float(shares[i])) for i in np.argsort(-shares)[:top]]


def pixels_for(contract: ModelContract, picture: Path | str | Pixels) -> Pixels:
    """A picture as the model was trained to see it: uint8 [H, W, C]."""
    channels, height, width = contract.input_shape
    if isinstance(picture, (str, Path)):
        image = read_image(Path(picture), channels)
    elif not hasattr(picture, "ndim"):  # one of Pillow's, say
        raise DataError(
            f"A picture must be a path or pixels, not {type(picture).__name__}.",
            hint="numpy.asarray(image) makes pixels of one of Pillow's.",
        )
    elif (
        picture.ndim == 3
        and picture.size
        and picture.shape[2] in (1, 3)
        and picture.dtype == "uint8"
    ):
        image = from_pixels(picture, channels)
    else:
        raise DataError(
            f"Pixels must be uint8 [H, W, 1 or 3], not {picture.dtype} {list(picture.shape)}."
        )
    return fit(image, height, width, contract.resize)


def evaluate(
    model: Model | Run | Path | str,
    *,
    data: str | Path | None = None,
    data_dir: Path | str | None = None,
    split: str | None = None,
    step: Callable[[str], None] = lambda text: None,
    note: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Measure the accuracy on a split of the run's own data, or of the `data` that are named.

    `split` is test, unless a folder is named that is not the run's own and has no test split
    of its own: then it is all, every image there. `note` is told what a person should know of
    the images: those that cannot be read.
    """
    import numpy as np

    if split not in (None, *SPLITS):
        raise UsageError(f"There is no split '{split}'.", hint=f"There are {', '.join(SPLITS)}.")
    model, downloads = _opened(model), Path(data_dir) if data_dir else None
    asked = Asked(model.registry, model.file, model.path, data, downloads)
    found = asked.examples(split)
    for part in found.parts:
        for remark in part.remarks():
            note(remark)
    labels = np.concatenate([part.labels for part in found.parts])
    step(f"evaluating on {len(labels)} images")
    started = perf_counter()
    logits = np.concatenate([_answers(model, part.pixels) for part in found.parts])
    seconds = perf_counter() - started
    report = make_report(
        labels, logits.argmax(1), softmax(logits).max(1), classes=model.classes, epoch=0
    )
    right = round(report.accuracy * len(labels))
    return Evaluation(
        accuracy=report.accuracy,
        interval=interval(right, len(labels)),
        top5=_top5(logits, labels) if len(model.classes) > 10 else None,
        right=right,
        images=len(labels),
        data=found.label,
        folder=found.folder,
        split=found.split,
        seconds=seconds,
        classes=report.classes,
        confusion=report.confusion,
        seen=found.seen,
        remark=found.remark,
    )


def _top5(logits: Logits, labels: Labels) -> float:
    import numpy as np

    likeliest = np.argpartition(-logits, 4, axis=1)[:, :5]
    return float((likeliest == labels[:, None]).any(1).mean())


def _answers(model: Model, pixels: Pixels) -> Logits:
    return answers_of(model.runtime, model.session, model.file, pixels)
