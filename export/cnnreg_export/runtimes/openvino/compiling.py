"""Compiling a network for a device: its settings, and what is kept for the next time."""

from __future__ import annotations

import glob
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnreg.files import file_digest
from cnnreg.machine.compiled import keeping, shelf
from cnnreg.machine.devices import kind_of
from cnnreg.machine.environment import threads_to_ask_for
from cnnreg.specs import Precision

from .hardware import core, driver_version, full_name, ov

KEPT = ("GPU", "NPU")
"""Devices that compile for seconds. A processor is ready as soon as a file would be read."""


def settings(device: str, precision: Precision, threads: int | None) -> dict[str, Any]:
    """For the shortest time from one image to its answer, computed as the file says."""
    chosen: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if kind_of(device) == "CPU":
        # Else OpenVINO takes bf16 where the processor has it, and the answers change.
        chosen["INFERENCE_PRECISION_HINT"] = "f32"
        if number := threads_to_ask_for(threads):
            chosen["INFERENCE_NUM_THREADS"] = number
    if kind_of(device) == "GPU":
        # Else it computes a file of 32 bits in 16, and that file was proven in 32.
        exact = precision == "fp32"
        chosen["INFERENCE_PRECISION_HINT"] = "f32" if exact else "f16"
        chosen["EXECUTION_MODE_HINT"] = "ACCURACY" if exact else "PERFORMANCE"
    return chosen


def compile_model(
    network: Any,
    device: str,
    chosen: Mapping[str, Any],
    path: Path,
    note: Callable[[str], None],
) -> Any:
    """Compile `network`, read from `path`. Raises what OpenVINO raises."""

    def compile_in(folder: Path | None) -> Any:
        cache = {} if folder is None else {"CACHE_DIR": str(folder)}
        return core().compile_model(network, device, {**chosen, **cache})

    if kind_of(device) not in KEPT:
        return compile_in(None)
    reader = (ov.__version__, full_name(device), driver_version(device), platform.platform())
    files = sorted(path.parent.glob(f"{glob.escape(path.stem)}.*"))
    shapes = str([port.partial_shape for port in network.inputs])
    key = (*map(file_digest, files), shapes, str(sorted(chosen.items())), path.suffix)
    return keeping(shelf(f"openvino-{device}", reader), key, compile_in, was_loaded, note)


def was_loaded(compiled: Any) -> bool:
    """Whether OpenVINO took the model from its cache."""
    try:
        return bool(compiled.get_property("LOADED_FROM_CACHE"))
    except RuntimeError:  # a device that does not tell
        return False
