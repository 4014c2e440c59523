"""torchvision's published ImageNet weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnreg import MachineError
from cnnreg.files import file_digest

if TYPE_CHECKING:
    import torch


def published(name: str) -> Callable[[], Mapping[str, torch.Tensor]]:
    """A loader for `name` of torchvision's weights, e.g. ResNet18_Weights.IMAGENET1K_V1."""
    return partial(_load, name)


def _load(name: str) -> Mapping[str, torch.Tensor]:
    """From torch's cache, or the network; raises OSError if they are in neither."""
    from torchvision.models import get_weight

    weights = get_weight(name)
    _check_cached(weights.url)
    try:
        # Tensors alone are read, and the file must have the hash that stands in its name.
        state: Mapping[str, torch.Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except RuntimeError as error:  # what came has another hash
        raise OSError(str(error)) from error
    return state


def _check_cached(url: str) -> None:
    """Torch compares the hash after a download alone. Raises MachineError if it is another."""
    import torch

    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    published = file.stem.rpartition("-")[2]  # the first digits of its sha256
    if file.exists() and not file_digest(file).startswith(published):
        raise MachineError(
            "These are not the weights that were published: the sha256 differs.",
            where=file,
            hint="Delete the file; it is downloaded again then.",
        )
