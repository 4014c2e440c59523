"""NVIDIA graphics: whether PyTorch can train on what the system's driver serves."""

from __future__ import annotations

import shutil

CUDA_BUILD = (
    "pip install --force-reinstall torch torchvision "
    "--index-url https://download.pytorch.org/whl/cu130"
)


def mend_for_nvidia() -> str:
    """What to do where there is a driver and PyTorch sees no GPU; empty where nothing is wrong."""
    import torch

    if shutil.which("nvidia-smi") is None or torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        return CUDA_BUILD
    return (
        f"update NVIDIA's driver: this PyTorch is for CUDA {torch.version.cuda}; "
        "and unset CUDA_VISIBLE_DEVICES, if it hides the GPU"
    )
