"""What this machine is, in the words a figure needs beside it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("cnn-registry", "torch", "torchvision", "onnx", "onnxruntime", "openvino", "nncf")

# The instruction sets that decide the speed of a convolution.
DECISIVE = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def environment(packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """Processor, instruction sets, cores, memory, load, power and versions."""
    import psutil

    battery = getattr(psutil, "sensors_battery", lambda: None)()
    return {
        "processor": processor_name(),
        "isa": instruction_sets(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "logical_cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load": round(psutil.getloadavg()[0], 2),
        "power": None if battery is None else ("mains" if battery.power_plugged else "battery"),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := installed(name))},
    }


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor_name() -> str:
    if sys.platform == "win32":
        import winreg

        key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
            return str(winreg.QueryValueEx(opened, "ProcessorNameString")[0]).strip()
    names = _cpuinfo("model name")
    return names or platform.processor() or platform.machine()


def instruction_sets() -> list[str]:
    """From /proc/cpuinfo where there is one, else from what numpy detects."""
    flags = _cpuinfo("flags").split()
    if flags:
        return [flag for flag in DECISIVE if flag in flags]
    import numpy as np

    found = np.show_config(mode="dicts") or {}
    return sorted(name.lower() for name in found.get("SIMD Extensions", {}).get("found", []))


def physical_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def _cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""
