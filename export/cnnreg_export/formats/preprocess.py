"""What stands before the network in a self-contained file: from a picture to its input.

The same numbers as `cnnreg.images.fit` and `normalise` give, which use Pillow: resizing
is two products with matrices of triangle filters, each rounded to whole pixel values
(the reducing "convolution-based interpolation" of Pillow's ImagingResample). Written in
operators that every format has: ONNX's own Resize differs from Pillow, and from engine
to engine, by up to half of the range.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnreg import ModelContract
from cnnreg.images import LETTERBOX_GREY

LUMA = (19595 / 65536, 38470 / 65536, 7471 / 65536)  # ITU-R 601-2, as Pillow has it


class Preprocess(nn.Module):
    """uint8 RGB [N, H, W, 3] to float32 [N, C, h, w], as the contract says; any H and W.

    `resize=False` leaves resizing out: H and W must then be h and w.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, contract: ModelContract, *, resize: bool = True) -> None:
        super().__init__()
        self.channels, self.height, self.width = contract.input_shape
        self.policy = contract.resize
        self.resize = resize
        mean, std = torch.tensor(contract.mean), torch.tensor(contract.std)
        self.register_buffer("scale", (1 / (255 * std))[:, None, None])
        self.register_buffer("shift", (-mean / std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).float()
        if self.channels == 1:
            luma = (pixels * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
            pixels = _rounded(luma)
        if self.resize:
            pixels = self._fit(pixels)
        return pixels * self.scale + self.shift

    def _fit(self, pixels: Tensor) -> Tensor:
        height, width = (torch.scalar_tensor(size) for size in pixels.shape[2:])
        rows, columns = self._windows(height, width)
        across, framed = _filters(columns, pixels.shape[3], self.width)
        pixels = torch.where(framed, _rounded(pixels @ across.T), LETTERBOX_GREY)
        down, framed = _filters(rows, pixels.shape[2], self.height)
        pixels = torch.where(framed[:, None], _rounded(down @ pixels), LETTERBOX_GREY)
        return pixels.reshape(pixels.shape[0], self.channels, self.height, self.width)

    def _windows(self, height: Tensor, width: Tensor) -> tuple[_Window, _Window]:
        """Which part of the picture lies on which part of the input, down and across."""
        if self.policy == "crop":
            taken_height = torch.minimum(height, width * self.height / self.width)
            taken_width = torch.minimum(width, height * self.width / self.height)
            return (
                _Window((height - taken_height) / 2, taken_height, 0, self.height),
                _Window((width - taken_width) / 2, taken_width, 0, self.width),
            )
        if self.policy == "letterbox":
            # Products before quotients, as in `cnnreg.images`: these are exact in float32.
            inner_height = torch.round((height * self.width / width).clamp(max=self.height))
            inner_width = torch.round((width * self.height / height).clamp(max=self.width))
            inner_height, inner_width = inner_height.clamp(min=1), inner_width.clamp(min=1)
            return (
                _Window(0, height, torch.floor((self.height - inner_height) / 2), inner_height),
                _Window(0, width, torch.floor((self.width - inner_width) / 2), inner_width),
            )
        return _Window(0, height, 0, self.height), _Window(0, width, 0, self.width)


class _Window:
    """`length` pixels of the picture from `first` on, shown as `shown` pixels from `at` on."""

    def __init__(
        self, first: Tensor | int, length: Tensor, at: Tensor | int, shown: Tensor | int
    ) -> None:
        self.first, self.length, self.at, self.shown = first, length, at, shown


def _filters(window: _Window, size: int, out: int) -> tuple[Tensor, Tensor]:
    """Weights [out, size] of the pixels that each of `out` is made of, and which lie inside."""
    place = torch.arange(out, dtype=torch.float32) - window.at
    scale = window.length / window.shown
    support = torch.clamp(scale, min=1.0)  # the filter grows where the picture shrinks
    centre = (window.first + (place + 0.5) * scale)[:, None]
    pixel = torch.arange(size, dtype=torch.float32)
    near = (pixel >= torch.floor(centre - support + 0.5)) & (
        pixel < torch.floor(centre + support + 0.5)
    )
    weights = torch.clamp(1 - (pixel + 0.5 - centre).abs() / support, min=0.0) * near
    total = weights.sum(1, keepdim=True)
    weights = weights / torch.where(total > 0, total, 1.0)  # none reach into the frame
    return weights, (place >= 0) & (place < window.shown)


def _rounded(pixels: Tensor) -> Tensor:
    return torch.floor(pixels + 0.5)
