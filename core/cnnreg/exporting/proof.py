"""Whether an exported file answers as its original does, in each engine that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnreg.answers import logits_of, softmax
from cnnreg.engines import makers_of, open_session, plugin_of, runtimes_for
from cnnreg.errors import (
    CnnregError,
    GateError,
    MachineError,
    ModelFileError,
    is_out_of_memory,
    one_line,
)
from cnnreg.machine.devices import alike, devices_of, identity_of
from cnnreg.output import quiet_stdout
from cnnreg.registry import Registry
from cnnreg.specs import Interface, ModelFile, Precision, RuntimeOptions, RuntimeSpec, Session

from .parity import Parity, compare, largest_logits

if TYPE_CHECKING:
    from cnnreg.specs import Logits

    from .original import Original

SIZES = ((1.7, 2.3), (0.6, 0.9), (3.0, 1.1), (1.0, 0.4))  # of the network's own height and width
RESIZED = 4  # images tried in each of them
RESIZE_TOLERANCE = 0.05  # of the picture's largest logit, or a usual image's
PROBED = 8  # images whose probabilities are compared
SHARE_TOLERANCE = 0.01  # of a probability, which fp16 rounds
RESIZES = "it resizes pictures otherwise than cnnreg does"
NO_SOFTMAX = "it gives probabilities that are not the softmax of its logits"
ALONE = "it answers otherwise to one image than to several"
FAULTS = (RESIZES, NO_SOFTMAX)  # of what a self-contained file adds to a network that holds


def prove(
    registry: Registry, original: Original, exported: ModelFile, *, max_drop: float, device: str
) -> dict[str, Parity]:
    """Compare in every installed runtime that opens the format, up to one in which it fails.

    Those that have no such device compare on the processor. Raises GateError where that cannot
    be done; MachineError if none has the device, or it fails.
    """
    runtimes = runtimes_for(registry, exported.format)
    if not runtimes:
        raise GateError(
            f"No installed runtime opens {exported.format} files, so nothing can be proven."
        )
    results = {}
    for runtime, place in zip(runtimes, _places(runtimes, device), strict=True):
        try:
            with quiet_stdout():
                session = _opened(runtime, exported, place)
                logits = logits_of(session, original.images)
                alone = logits_of(session, original.images[:1])
                fault = _fault(session, original, exported.interface)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if is_out_of_memory(error) or isinstance(error, MachineError):
                raise
            why = error.what.rstrip(".") if isinstance(error, CnnregError) else one_line(error)
            raise GateError(
                f"{runtime.title} cannot run the exported model: {why}.",
                hint=_way_without(registry, runtime, exported.format),
            ) from error
        parity = compare(
            original.logits,
            logits,
            original.labels,
            precision=exported.precision,
            max_drop=max_drop,
            others=original.others,
            classes=original.model.contract.classes,
        )
        complaint = parity.complaint or fault or _otherwise(alone, logits, exported.precision)
        results[runtime.name] = replace(
            parity, device=place, complaint=complaint, **identity_of(runtime, place)
        )
        if complaint:
            break
    return results


def _places(runtimes: Sequence[RuntimeSpec], device: str) -> list[str]:
    """Where each compares: on the device, by its own name for it, or else on the processor."""
    if device == "CPU":
        return [device] * len(runtimes)
    places = [
        next((own for own in devices_of(runtime) if alike(own, device)), "CPU")
        for runtime in runtimes
    ]
    if set(places) == {"CPU"}:
        raise MachineError(
            f"{device} is not seen any more, so nothing can be proven on it.",
            hint="`cnnreg doctor` shows what is.",
        )
    return places


def _opened(runtime: RuntimeSpec, exported: ModelFile, place: str) -> Session:
    """A processor is always there: a file that cannot be opened on it is itself at fault."""
    try:
        return open_session(runtime, exported, RuntimeOptions(device=place))
    except MachineError as error:
        if place != "CPU":
            raise
        raise ModelFileError(error.what) from error


def _way_without(registry: Registry, runtime: RuntimeSpec, format_name: str) -> str:
    """What to do about an engine of another package than the format's, which may be at fault."""
    plugin = plugin_of(registry, runtime)
    if plugin.distribution in makers_of(registry, format_name):
        return ""
    return f"If the engine is at fault: cnnreg plugins disable {plugin.name} (of {plugin.package})."


def _fault(session: Session, original: Original, interface: Interface) -> str:
    """What a self-contained file does otherwise than it should; empty: nothing."""
    if interface.embed and not interface.fixed and not _resizes_alike(session, original):
        return RESIZES
    if interface.embed and not _gives_probabilities(session, original):
        return NO_SOFTMAX
    return ""


def _otherwise(alone: Logits, together: Logits, precision: Precision) -> str:
    """Whether one image by itself, as most are shown to it, gets its answer of the batch.

    In fewer bits another batch may be rounded otherwise: then it is a number of them alone.
    """
    import numpy as np

    reach = 1e-3 * max(np.median(largest_logits(together)), np.abs(together[0]).max())
    alike = precision != "fp32" or np.abs(alone - together[:1]).max() <= reach
    return "" if alike and np.isfinite(alone).all() else ALONE


def _gives_probabilities(session: Session, original: Original) -> bool:
    """Whether its probabilities are the softmax of its logits, where the engine has them."""
    import numpy as np

    probabilities = getattr(session, "probabilities", None)
    if probabilities is None:
        return True
    ones = (session.prepare(image[None]) for image in original.images[:PROBED])
    return all(
        np.abs(probabilities(one) - softmax(session.infer(one))).max() <= SHARE_TOLERANCE
        for one in ones  # as a file of a fixed size takes them
    )


def _resizes_alike(session: Session, original: Original) -> bool:
    """Whether it answers to pictures of other sizes as to resized ones."""
    import numpy as np

    from cnnreg.images import fit, from_pixels

    contract = original.model.contract
    channels, height, width = contract.input_shape
    usual = np.median(largest_logits(original.logits))
    for pixels, (down, across) in zip(original.images, SIZES * RESIZED, strict=False):
        size = (max(1, round(across * width)), max(1, round(down * height)))
        picture = from_pixels(pixels, channels).resize(size)
        whole = from_pixels(np.array(picture).reshape(size[1], size[0], channels), 3)
        given = session.infer(session.prepare(np.array(whole)[None]))
        wanted = session.infer(session.prepare(fit(picture, height, width, contract.resize)[None]))
        # Pixels may differ by one level, where Pillow's arithmetic rounds the other way.
        reach = RESIZE_TOLERANCE * max(usual, np.abs(wanted).max())
        if not np.abs(given - wanted).max() <= reach:  # nor where either is no number
            return False
    return True
