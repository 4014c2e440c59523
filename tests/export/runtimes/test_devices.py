"""Devices by name, as people type them."""

from __future__ import annotations

import pytest

from cnnreg import MachineError, UsageError
from cnnreg_export.runtimes.devices import checked_device, only_processor

ONE, TWO = ["CPU", "GPU"], ["CPU", "GPU.0", "GPU.1"]


@pytest.mark.parametrize(
    ("typed", "known", "device"),
    [
        ("cpu", ["CPU"], "CPU"),
        ("gpu", ONE, "GPU"),
        ("iGPU", ONE, "GPU"),
        ("igpu.0", TWO, "GPU.0"),
        ("GPU.0", ONE, "GPU.0"),
        ("GPU", TWO, "GPU"),
        ("gpu.1", TWO, "GPU.1"),
        (" npu ", ["CPU", "NPU"], "NPU"),
    ],
)
def test_a_device_that_is_there_is_known_by_its_names(typed, known, device):
    assert checked_device(typed, known) == device


@pytest.mark.parametrize(
    ("typed", "known"),
    [("GPU", ["CPU"]), ("iGPU", ["CPU"]), ("GPU.1", ONE), ("GPU.2", TWO), ("npu", ONE), ("", ONE)],
)
def test_a_device_that_is_not_there_is_refused_with_those_there_are(typed, known):
    with pytest.raises(MachineError, match=f"not found; there are {', '.join(known)}"):
        checked_device(typed, known)


@pytest.mark.parametrize("typed", ["auto", "AUTO:GPU,CPU", "MULTI:CPU", "hetero:GPU", "BATCH:GPU"])
def test_one_device_has_to_be_named(typed):
    with pytest.raises(UsageError, match="name one device"):
        checked_device(typed, ONE)


def test_an_engine_of_the_processor_says_what_it_runs_on_not_what_the_machine_has():
    assert only_processor(" cpu", "Engine", "") == "CPU"
    with pytest.raises(MachineError, match=r"^Engine runs on CPU only, not on GPU\. Elsewhere\.$"):
        only_processor("gpu", "Engine", "Elsewhere.")
    with pytest.raises(UsageError, match="name one device"):
        only_processor("auto", "Engine", "")
