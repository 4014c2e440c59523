"""Devices by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cnnreg import MachineError
from cnnreg.environment import processor_name


def processor() -> Mapping[str, str]:
    """The one device of an engine that runs on the processor only."""
    return {"CPU": processor_name()}


def checked_device(name: str, known: Iterable[str]) -> str:
    """`name` in upper case. Raises MachineError unless it, or its kind (GPU of GPU.0), is known."""
    device = name.upper()
    available = list(known)
    if device.partition(".")[0] not in {one.partition(".")[0] for one in available}:
        raise MachineError(
            f"{device} not found; there are {', '.join(available)}.",
            hint=f"Use --device {available[0]}.",
        )
    return device
