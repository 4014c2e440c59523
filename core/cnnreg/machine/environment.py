"""What this machine is, in the words a figure needs beside it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from math import ceil
from pathlib import Path
from typing import Any

from cnnreg.files import WINDOWS

from .cgroups import processor_share

PACKAGES = ("cnn-registry", "torch", "torchvision", "onnx", "onnxruntime", "openvino", "nncf")

GROUP = 64  # processors that Windows has one mask for: of more it tells nothing
PROCESSORS = Path("/sys/devices/system/cpu")

# The instruction sets that decide the speed of a convolution.
DECISIVE = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
VNNI = {"avx_vnni", "avx512_vnni", "amx_int8"}  # any of them multiplies int8 by the dozen
BF16 = {"avx512_bf16", "amx_bf16"}

# What numpy calls them, each group with all before it: Skylake's server, Cascade Lake, Ice Lake
# (and Tiger Lake), Sapphire Rapids.
_AVX512 = ("avx2", "avx512f")
NUMPY_GROUPS = {
    "AVX2": ("avx2",),
    "X86_V3": ("avx2",),
    "AVX512F": _AVX512,
    "X86_V4": _AVX512,
    "AVX512_SKX": _AVX512,
    "AVX512_CLX": (*_AVX512, "avx512_vnni"),
    "AVX512_ICL": (*_AVX512, "avx512_vnni"),
    "AVX512_SPR": (*_AVX512, "avx512_vnni", "avx512_bf16"),
}


def environment(*, patience: float = 0.0) -> dict[str, Any]:
    """Processor, instruction sets, cores, memory, load, power and versions; None is unknown.

    Windows' load is known only to those who wait for it, `patience` seconds.
    """
    import psutil

    return {
        "processor": processor_name(),
        "isa": instruction_sets(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "logical_cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load": _load(patience),
        "power": power_source(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := installed(name))},
    }


def _load(patience: float) -> float | None:
    """How many processors are wanted: in the last minute; on Windows, which keeps no such count,
    how many are in use in the next `patience` seconds."""
    import psutil

    with suppress(Exception):  # not every container tells
        if not WINDOWS:
            return round(psutil.getloadavg()[0], 2)
    return busy_processors(patience) if WINDOWS and patience > 0 else None


def busy_processors(seconds: float) -> float | None:
    """How many are in use in the next `seconds`, by other programs if this one waits here."""
    import psutil

    with suppress(Exception):  # not every container tells
        return round(psutil.cpu_percent(seconds) / 100 * (os.cpu_count() or 1), 2)
    return None


def power_source() -> str | None:
    """Mains or battery."""
    import psutil

    with suppress(Exception):  # not on every system, and a driver may fail
        battery = psutil.sensors_battery()
        if battery is not None and battery.power_plugged is not None:
            return "mains" if battery.power_plugged else "battery"
    return None


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor_name() -> str:
    if sys.platform == "win32":
        import winreg

        key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
            return str(winreg.QueryValueEx(opened, "ProcessorNameString")[0]).strip()
    names = _cpuinfo("model name")
    return names or platform.processor() or platform.machine()


def instruction_sets() -> list[str]:
    """From /proc/cpuinfo where there is one, else from what numpy detects."""
    flags = _cpuinfo("flags").split()
    if flags:
        return [flag for flag in DECISIVE if flag in flags]
    import numpy as np

    extensions = (np.show_config(mode="dicts") or {}).get("SIMD Extensions", {})
    names = [*extensions.get("baseline", []), *extensions.get("found", [])]
    known = {flag for name in names for flag in NUMPY_GROUPS.get(name, ())}
    return [flag for flag in DECISIVE if flag in known] or sorted(map(str.lower, names))


def has_vnni(isa: Iterable[str]) -> bool:
    """Whether int8 is the fast way on a processor with these instruction sets."""
    return not VNNI.isdisjoint(isa)


def has_bf16(isa: Iterable[str]) -> bool:
    """Whether bfloat16 is computed, not emulated."""
    return not BF16.isdisjoint(isa)


def threads_to_ask_for(asked: int | None) -> int | None:
    """What an engine is told; None: nothing, for one thread for each core is its own choice.

    A number costs it what it knows: ONNX Runtime holds each thread to its core, OpenVINO tells
    fast cores from slow ones. Timing, which names its number, would then differ from using. Where
    this process is held to some processors the number stays: an engine may take the others as well.
    """
    wanted = asked or physical_cores()
    everywhere = usable_processors() == os.cpu_count()
    return None if everywhere and wanted == physical_cores() else wanted


def physical_cores() -> int:
    """As many as this process may use."""
    return min(_cores_of(_allowed()), usable_processors())


def usable_processors() -> int:
    """Logical ones that this process may run on: a container may hold it to a few.

    To some of them by name, or to a share of the time of all: more threads than that stand still
    for the rest of each period.
    """
    named, share = len(_allowed()), processor_share()
    return named if share is None else max(1, min(named, ceil(share)))


def _allowed() -> Collection[int]:
    """The numbers of the processors that this process may run on."""
    import psutil

    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    every = range(os.cpu_count() or 1)
    if len(every) <= GROUP:
        with suppress(Exception):  # a Mac holds no process to any
            return psutil.Process().cpu_affinity() or every
    return every


def _cores_of(processors: Collection[int]) -> int:
    """How many cores they are: two may share one. In proportion where nobody tells which do."""
    import psutil

    with suppress(OSError):
        return len({_siblings(number) for number in processors})
    every = os.cpu_count() or 1
    return ceil(len(processors) * (psutil.cpu_count(logical=False) or every) / every)


def _siblings(number: int) -> str:
    """The processors that share this one's core. Raises OSError where Linux does not tell."""
    path = PROCESSORS / f"cpu{number}" / "topology" / "core_cpus_list"
    return path.read_text(encoding="utf-8")


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
