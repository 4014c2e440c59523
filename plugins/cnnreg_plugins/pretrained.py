"""torchvision's published ImageNet weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def published(name: str) -> Callable[[], Mapping[str, torch.Tensor]]:
    """A loader for `name` of torchvision's weights, e.g. ResNet18_Weights.IMAGENET1K_V1."""
    return partial(_load, name)


def _load(name: str) -> Mapping[str, torch.Tensor]:
    """From torch's cache, or the network; raises OSError if they are in neither."""
    from torchvision.models import get_weight

    # Tensors alone are read, and the file must have the hash that stands in its name.
    state: Mapping[str, torch.Tensor] = get_weight(name).get_state_dict(
        progress=False, check_hash=True, weights_only=True
    )
    return state
