"""Mixup and CutMix: images that are part one and part another, with labels to match.

mixup: https://arxiv.org/abs/1710.09412, CutMix: https://arxiv.org/abs/1905.04899.
Each image has a share and a window of its own, drawn for the epoch as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mixtures:
    """What an epoch's images are mixed with, by index of the image."""

    share: Tensor  # of the image itself, float32 [N]
    cut: Tensor  # a window of the other is pasted in, instead of both blended; bool [N]
    centre: Tensor  # of that window: y, x in 0..1 [N, 2]

    def of(self, chosen: Tensor) -> Mixtures:
        return Mixtures(self.share[chosen], self.cut[chosen], self.centre[chosen])


class Mixer:
    """With both alphas above 0 each image meets one of the two, by chance."""

    def __init__(self, mixup: float, cutmix: float) -> None:
        self.mixup = mixup
        self.cutmix = cutmix

    def draw(self, count: int, random: torch.Generator) -> Mixtures | None:
        """None if nothing is mixed; no random number is used up then."""
        if not self.mixup and not self.cutmix:
            return None
        coin = torch.rand(count, generator=random)
        cut = coin < (0.5 if self.mixup else 1.0) if self.cutmix else coin < 0
        seed = int(torch.randint(2**62, (), generator=random))
        alpha = np.where(cut.numpy(), self.cutmix, self.mixup)
        share = np.random.Generator(np.random.PCG64(seed)).beta(alpha, alpha)
        centre = torch.rand(count, 2, generator=random)
        return Mixtures(torch.from_numpy(share).float(), cut, centre)


def mix(images: Tensor, others: Tensor, how: Mixtures) -> tuple[Tensor, Tensor]:
    """Images [N, C, H, W] mixed with others, and the share of the labels that stays [N].

    A window that reaches over the edge is cut off there; the share says what is left.
    """
    height, width = images.shape[2:]
    side = (1 - how.share).sqrt()
    rows = _inside(height, how.centre[:, 0], side)
    columns = _inside(width, how.centre[:, 1], side)
    window = (rows[:, :, None] & columns[:, None, :])[:, None]
    cut = how.cut[:, None, None, None]
    blended = torch.lerp(others, images, how.share[:, None, None, None])
    mixed = torch.where(cut, torch.where(window, others, images), blended)
    kept = 1 - window.float().mean((1, 2, 3))
    return mixed, torch.where(how.cut, kept, how.share)


def _inside(size: int, centre: Tensor, side: Tensor) -> Tensor:
    """Which of `size` positions lie in a window of that centre and side (0..1): bool [N, size]."""
    positions = (torch.arange(size) + 0.5) / size
    return (positions[None, :] - centre[:, None]).abs() < side[:, None] / 2
