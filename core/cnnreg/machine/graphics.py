"""Intel graphics: what the system sees, and how an engine gets to see them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

INTEL = "0x8086"
DISPLAYS = Path("/sys/class/drm")
RENDERERS = Path("/dev/dri")


def intel_graphics(displays: Path = DISPLAYS) -> list[str]:
    """PCI device ids of Intel's GPUs that a Linux kernel's driver has taken; elsewhere none."""
    found = {}
    for card in sorted(displays.glob("card*/device/vendor")):
        try:
            if card.read_text(encoding="ascii").strip().lower() == INTEL:
                device = card.with_name("device").read_text(encoding="ascii").strip()
                found[card.parent.resolve()] = device
        except (OSError, ValueError):
            continue
    return list(found.values())


def mend_for_graphics(problem: str = "", *, system: str = "", renderers: Path = RENDERERS) -> str:
    """What to do where an engine sees no GPU; `problem` is what it said itself.

    Empty where nothing hints at there being one.
    """
    system = system or platform.system()
    if system == "Windows":
        return (
            "if Device Manager lists Intel graphics under Display adapters, install their driver "
            "by Windows Update or from intel.com/download-center"
        )
    if system != "Linux":
        return ""
    nodes = sorted(renderers.glob("renderD*"))
    if nodes and not problem and not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        return "sudo usermod -aG render $USER, then log in again: this user may not use the GPU"
    return "sudo apt install intel-opencl-icd (Debian, Ubuntu), which brings libOpenCL.so.1 too"
