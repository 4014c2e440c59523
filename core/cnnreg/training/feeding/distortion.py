"""Photographs as another camera might have taken them: nearer, tilted, in another light."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor
from torch.nn import functional

ASPECT = 4 / 3  # of a piece that is cut out: 3:4 to 4:3 of the image's own
BRIGHTNESS = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


class Distortion:
    """A random piece enlarged, a turn, and a change of brightness, contrast and saturation.

    `zoom` is the smallest share of an image's area that the piece may have
    (https://arxiv.org/abs/1409.4842, section 6, where it is 0.08), `rotate` the largest
    turn in degrees, `colour` the largest change of each of the three, as a share of it.

    What an image becomes must not depend on the images beside it, to the bit. So all that a
    processor rounds differently in a long row and in a short one (sines, powers) is worked
    out for a whole epoch at once; with a batch come products and sums alone.
    """

    def __init__(self, zoom: float = 1.0, rotate: float = 0.0, colour: float = 0.0) -> None:
        self.zoom, self.rotate, self.colour = zoom, rotate, colour

    def draw(self, count: int, random: torch.Generator) -> Tensor | None:
        """For `count` images [N, 9]; None, and nothing drawn, if all is off.

        Six numbers of where pixels come from (along x its share, its skew and its move, then
        along y), and the factors of brightness, contrast and saturation.
        """
        if self.zoom == 1 and not self.rotate and not self.colour:
            return None
        area, aspect, x, y, turn, *colours = torch.rand(count, 8, generator=random).unbind(1)
        side = (self.zoom + (1 - self.zoom) * area).sqrt()
        widest = ASPECT if self.zoom < 1 else 1.0
        stretch = widest ** (aspect - 0.5)  # the root of an aspect
        # Of a piece that is nearly the whole no side can be much longer: the area is kept.
        stretch = torch.minimum(torch.maximum(stretch, side), 1 / side)
        wide, tall = side * stretch, side / stretch
        angle = (2 * turn - 1) * (self.rotate * pi / 180)
        cos, sin = angle.cos(), angle.sin()
        across = [cos * wide, -sin * tall, (2 * x - 1) * (1 - wide)]
        down = [sin * wide, cos * tall, (2 * y - 1) * (1 - tall)]
        factors = [1 + self.colour * (2 * colour - 1) for colour in colours]
        return torch.stack([*across, *down, *factors], 1)

    def __call__(self, images: Tensor, drawn: Tensor) -> Tensor:
        """uint8 [N, H, W, C] of the same shape: one rounding for all that is changed."""
        _, height, width, _ = images.shape
        pixels = images.permute(0, 3, 1, 2).float()
        if self.zoom < 1 or self.rotate:
            pixels = _moved(pixels, drawn[:, :6])
        if self.colour:
            # Of whole numbers: no rounding till here.
            means = images.sum((1, 2), dtype=torch.int64) / (height * width)
            pixels = _recoloured(pixels, means, drawn[:, 6:])
        return pixels.round_().clamp_(0, 255).byte().permute(0, 2, 3, 1).contiguous()


def _moved(pixels: Tensor, drawn: Tensor) -> Tensor:
    """[N, C, H, W] read between the pixels where they come from; beyond the edges, mirrored."""
    *_, height, width = pixels.shape
    wide, skew, right, slant, tall, down = drawn[..., None, None].unbind(1)
    # In grid_sample's units, -1..1 over either side: a turn must know that the sides differ.
    x = ((torch.arange(width) * 2 + 1) / width - 1)[None, None, :]
    y = ((torch.arange(height) * 2 + 1) / height - 1)[None, :, None]
    across = x * wide + y * (skew * (height / width)) + right
    upright = x * (slant * (width / height)) + y * tall + down
    return functional.grid_sample(
        pixels, torch.stack([across, upright], 3), padding_mode="reflection", align_corners=False
    )


def _recoloured(pixels: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """Of [N, C, H, W] the brightness, the contrast about the image's `means` [N, C] in grey,
    and the saturation about each pixel's own grey.
    """
    light, contrast, saturation = factors.reshape(-1, 3, 1, 1, 1).unbind(1)
    middle = _grey(means[..., None, None])
    pixels = ((pixels - middle) * contrast + middle) * light
    if pixels.shape[1] != 3:
        return pixels
    grey = _grey(pixels)
    return (pixels - grey) * saturation + grey


def _grey(pixels: Tensor) -> Tensor:
    """[N, C, H, W] to [N, 1, H, W]: of three channels as the eye weighs them."""
    channels = pixels.unbind(1)
    shares = BRIGHTNESS if len(channels) == 3 else [1 / len(channels)] * len(channels)
    grey = channels[0] * shares[0]
    for channel, share in zip(channels[1:], shares[1:], strict=True):
        grey = grey + channel * share
    return grey[:, None]
