"""What OpenVINO finds on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from cnnreg.errors import one_line
from cnnreg.machine.devices import kind_of
from cnnreg_export.untracked import untracked

ov = untracked("openvino")

DRIVERS = ("GPU_DRIVER_VERSION", "NPU_DRIVER_VERSION")


@cache
def core() -> Any:
    """The process's one Core.

    Each Core lends the thread a stack for signal handlers. Of two, the one that goes
    last gives back that of the first, which is gone: the next Ctrl-C would be a crash.
    """
    return ov.Core()


def found_devices() -> Mapping[str, str]:
    return {name: full_name(name) for name in core().available_devices}


def full_name(device: str) -> str:
    return told(device, "FULL_DEVICE_NAME") or device


def driver_version(device: str) -> str:
    """Empty for a processor, which has none, and where OpenVINO does not tell."""
    return next(filter(None, (told(device, key) for key in DRIVERS)), "")


def device_details() -> Mapping[str, Mapping[str, str]]:
    """By device: capabilities, type, execution units, driver; for a GPU that is not there, why."""
    found = {name: _details(name) for name in core().available_devices}
    if not any(kind_of(name) == "GPU" for name in found) and (problem := _gpu_problem()):
        found["GPU"] = {"problem": problem}
    return found


def _details(device: str) -> dict[str, str]:
    facts = {"capabilities": told(device, "OPTIMIZATION_CAPABILITIES")}
    if kind_of(device) != "CPU":
        facts["type"] = told(device, "DEVICE_TYPE").rpartition(".")[2].lower()
        facts["execution units"] = told(device, "GPU_EXECUTION_UNITS_COUNT")
        facts["driver"] = driver_version(device)
    return {name: text for name, text in facts.items() if text}


def _gpu_problem() -> str:
    """Why OpenVINO's GPU plugin does not load, such as the library that it misses."""
    try:
        core().get_property("GPU", "AVAILABLE_DEVICES")
    except Exception as error:  # noqa: BLE001 - whatever it says is the answer
        # The plugin's path stands before what it lacks.
        return one_line(error).rpartition('": ')[2]
    return ""


def told(device: str, key: str) -> str:
    """A property in words; empty where the device does not know it."""
    try:
        value = core().get_property(device, key)
    except Exception:  # noqa: BLE001 - a driver's fault is no reason to show nothing
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
