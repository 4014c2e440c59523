"""Devices by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cnnreg import MachineError, UsageError
from cnnreg.machine.environment import processor_name

SEVERAL = {"AUTO", "MULTI", "HETERO", "BATCH"}  # OpenVINO's names for a choice of devices


def processor() -> Mapping[str, str]:
    """The one device of an engine that runs on the processor only."""
    return {"CPU": processor_name()}


def checked_device(name: str, known: Iterable[str]) -> str:
    """`name` in upper case, iGPU as GPU.

    Raises MachineError unless it is known (GPU stands for GPU.0 and the other way round),
    UsageError if it leaves the choice to the engine.
    """
    device = name.strip().upper()
    available = list(known)
    listed = ", ".join(available)
    if device.partition(":")[0] in SEVERAL:
        raise UsageError(
            f"{device} leaves open what runs where; name one device.", hint=f"There are {listed}."
        )
    kind, _, number = device.partition(".")
    kind = "GPU" if kind == "IGPU" else kind
    device = f"{kind}.{number}" if number else kind
    same = {device, *((kind, f"{kind}.0") if number in {"", "0"} else ())}
    if same.isdisjoint(available):
        raise MachineError(
            f"{device} not found; there are {listed}.", hint=f"Use --device {available[0]}."
        )
    return device


def only_processor(name: str, engine: str, hint: str) -> str:
    """CPU. Raises MachineError with `hint` for another device, UsageError for a choice of them."""
    try:
        return checked_device(name, processor())
    except MachineError as error:
        raise MachineError(
            f"{engine} runs on CPU only, not on {name.upper()}.", hint=hint
        ) from error
