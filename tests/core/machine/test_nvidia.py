"""An NVIDIA GPU that PyTorch does not see."""

from __future__ import annotations

import pytest
import torch

from cnnreg.machine import nvidia


@pytest.mark.parametrize(
    ("driver", "sees", "built_for", "mend"),
    [
        ("/usr/bin/nvidia-smi", False, None, nvidia.CUDA_BUILD),
        ("/usr/bin/nvidia-smi", False, "13.0", "this PyTorch is for CUDA 13.0"),
        ("/usr/bin/nvidia-smi", True, "13.0", ""),
        (None, False, None, ""),
    ],
)
def test_a_driver_without_a_gpu_for_torch_has_a_mend(monkeypatch, driver, sees, built_for, mend):
    monkeypatch.setattr(nvidia.shutil, "which", lambda name: driver)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: sees)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    found = nvidia.mend_for_nvidia()
    assert mend in found
    assert bool(found) == bool(mend)
