"""Whether an exported file answers as its original does, in each engine that runs it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import CnnregError, GateError, is_out_of_memory
from .models import open_session, runtimes_for
from .parity import Parity, compare, logits_of, softmax
from .plugins import one_line
from .registry import Registry
from .specs import Interface, ModelFile, RuntimeOptions, Session

if TYPE_CHECKING:
    from .original import Original

SIZES = ((1.7, 2.3), (0.6, 0.9), (3.0, 1.1), (1.0, 0.4))  # of the network's own height and width
RESIZED = 4  # images tried in each of them
RESIZE_TOLERANCE = 0.05  # of the largest logit
SHARE_TOLERANCE = 0.01  # of a probability, which fp16 rounds


def prove(
    registry: Registry, original: Original, exported: ModelFile, *, max_drop: float, device: str
) -> dict[str, Parity]:
    """Compare in every installed runtime that opens the format, up to one in which it fails.

    Raises GateError where that cannot be done, or pictures are resized otherwise.
    """
    runtimes = runtimes_for(registry, exported.format)
    if not runtimes:
        raise GateError(
            f"No installed runtime opens {exported.format} files, so nothing can be proven."
        )
    results = {}
    for runtime in runtimes:
        try:
            place = device if device != "CPU" and device in runtime.devices() else "CPU"
            session = open_session(runtime, exported, RuntimeOptions(device=place))
            logits = logits_of(session, original.images)
            resized = _resizes_alike(session, original, exported.interface)
            shares = _gives_probabilities(session, original, exported.interface)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            why = error.what.rstrip(".") if isinstance(error, CnnregError) else one_line(error)
            raise GateError(f"{runtime.title} cannot run the exported model: {why}.") from error
        parity = compare(
            original.logits,
            logits,
            original.labels,
            precision=exported.precision,
            max_drop=max_drop,
        )
        results[runtime.name] = replace(parity, device=place)
        if not parity.holds:
            return results
        if not resized:
            raise GateError(
                f"Not published: {exported.format} {exported.precision} resizes pictures otherwise "
                f"than cnnreg does, in {runtime.title}.",
            )
        if not shares:
            raise GateError(
                f"Not published: {exported.format} {exported.precision} gives probabilities that "
                f"are not the softmax of its logits, in {runtime.title}."
            )
    return results


def _gives_probabilities(session: Session, original: Original, interface: Interface) -> bool:
    """Whether a self-contained file's probabilities are the softmax of its logits."""
    probabilities = getattr(session, "probabilities", None)
    if not interface.embed or probabilities is None:
        return True
    import numpy as np

    inputs = session.prepare(original.images[:1])
    shares = softmax(session.infer(inputs))
    return bool(np.abs(probabilities(inputs) - shares).max() <= SHARE_TOLERANCE)


def _resizes_alike(session: Session, original: Original, interface: Interface) -> bool:
    """Whether a self-contained file answers to pictures of other sizes as to resized ones."""
    if not interface.embed or interface.fixed:
        return True
    import numpy as np

    from .images import fit, from_pixels

    contract = original.model.contract
    channels, height, width = contract.input_shape
    for pixels, (down, across) in zip(original.images, SIZES * RESIZED, strict=False):
        size = (max(1, round(across * width)), max(1, round(down * height)))
        picture = from_pixels(pixels, channels).resize(size)
        whole = from_pixels(np.array(picture).reshape(size[1], size[0], channels), 3)
        given = session.infer(np.array(whole)[None])
        wanted = session.infer(session.prepare(fit(picture, height, width, contract.resize)[None]))
        # Pixels may differ by one level, where Pillow's arithmetic rounds the other way.
        if np.abs(given - wanted).max() > RESIZE_TOLERANCE * np.abs(original.logits).max():
            return False
    return True
