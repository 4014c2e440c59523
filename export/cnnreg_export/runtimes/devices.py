"""Devices by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cnnreg import MachineError, UsageError
from cnnreg.machine.devices import alike, kind_of
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
    if kind_of(device) == "IGPU":
        device = device.removeprefix("I")
    if not any(alike(device, one) for one in available):
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
