"""What an engine tells of a device, as far as its answers may hang on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from cnnreg.errors import CnnregError
from cnnreg.plugins import blaming
from cnnreg.specs import RuntimeSpec

from .environment import installed

Facts = Mapping[str, Mapping[str, str]]  # by device


def listed_devices(runtime: RuntimeSpec) -> Mapping[str, str]:
    """Its devices by their full names. Raises PluginError or MachineError if a driver fails."""
    with blaming(f"Listing the devices of {runtime.title}"):
        return dict(runtime.devices())


def devices_of(runtime: RuntimeSpec) -> Mapping[str, str]:
    """The same; none where a driver fails."""
    with suppress(CnnregError):
        return listed_devices(runtime)
    return {}


def details_of(runtime: RuntimeSpec) -> Facts:
    """What it tells of each device beside its name; nothing where a driver fails."""
    with suppress(CnnregError), blaming(runtime.title):
        told = {} if runtime.details is None else dict(runtime.details())
        return {
            str(device): {str(name): str(text) for name, text in dict(facts).items()}
            for device, facts in told.items()
        }
    return {}


def identity_of(runtime: RuntimeSpec, device: str) -> dict[str, Any]:
    """The device's full name, its driver and the engine's version: texts, empty if not told."""
    names = [name for own, name in devices_of(runtime).items() if alike(own, device)]
    # A processor has no driver, and asking for the details of all devices takes its time.
    told = {} if kind_of(device) == "CPU" else details_of(runtime)
    drivers = [facts.get("driver", "") for own, facts in told.items() if alike(own, device)]
    versions = [f"{name} {installed(name) or ''}".strip() for name in runtime.requires]
    return {
        "device_name": "".join(names[:1]),
        "driver": "".join(drivers[:1]),
        "engine": ", ".join(versions),
    }


def kind_of(device: str) -> str:
    """GPU of GPU.0."""
    return device.partition(".")[0].upper()


def alike(one: str, other: str) -> bool:
    """GPU, GPU.0 and iGPU are the same device."""
    one, other = (name.upper().removesuffix(".0").replace("IGPU", "GPU") for name in (one, other))
    return one == other
