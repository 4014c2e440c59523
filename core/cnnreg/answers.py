"""What a network answers in an engine, looked at before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .engines import blaming_engine, settings_of
from .errors import MachineError, ModelFileError
from .machine.devices import kind_of
from .specs import ModelFile, RuntimeSpec, Session

if TYPE_CHECKING:
    from .specs import Logits, Pixels

BATCH = 64


def answers_of(
    runtime: RuntimeSpec,
    session: Session,
    model: ModelFile,
    pixels: Pixels,
    *,
    batch: int = BATCH,
) -> Logits:
    """Logits [N, classes] that are numbers, one for each of the model's classes.

    Raises PluginError for what is no such array, ModelFileError for another number of classes;
    for NaN MachineError, as the device's fault, on a processor ModelFileError.
    """
    import numpy as np

    with blaming_engine(runtime):
        logits = logits_of(session, pixels, batch=batch)
    classes = len(model.contract.classes)
    if logits.shape[1] != classes:
        raise ModelFileError(
            f"{runtime.title} answered with {logits.shape[1]} logits for each image, but "
            f"the model has {classes} classes.",
            where=model.path,
        )
    if np.isfinite(logits).all():
        return logits
    device = settings_of(runtime, session).get("device", "CPU")
    what = f"{runtime.title} answered with NaN or infinity on {device}."
    if kind_of(device) != "CPU":
        raise MachineError(what, where=model.path, hint="Try --device CPU.")
    exact = model.precision == "fp32"
    cure = "Train it again, or import other weights." if exact else "Export the run again as fp32."
    raise ModelFileError(what, where=model.path, hint=cure)


def logits_of(session: Session, pixels: Pixels, *, batch: int = BATCH) -> Logits:
    """All logits [N, classes] in evaluation order. Raises TypeError for any other answer."""
    import numpy as np

    chunks = (pixels[first : first + batch] for first in range(0, len(pixels), batch))
    return np.concatenate([_answer(session, chunk) for chunk in chunks])


def _answer(session: Session, pixels: Pixels) -> Logits:
    import numpy as np

    answer: Any = session.infer(session.prepare(pixels))
    whole = isinstance(answer, np.ndarray) and answer.dtype.kind in "fiu" and answer.ndim == 2
    if not whole or len(answer) != len(pixels):
        shown = type(answer).__name__
        if isinstance(answer, np.ndarray):
            shown += f" of {answer.dtype} {list(answer.shape)}"
        raise TypeError(f"infer gave a {shown}, not an array of floats [{len(pixels)}, classes]")
    logits: Logits = answer
    return logits


def softmax(logits: Logits) -> Logits:
    """Probabilities [N, classes]."""
    import numpy as np

    shares: Logits = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return shares
