"""The network of Jordan's speed records (https://arxiv.org/abs/2404.00498, section 3).

Its first layer whitens 2x2 patches. The paper computes that layer from the eigenvectors
of the training images' patches; for natural images those are close to a Haar basis of
the patch in opponent colours, which needs no data. A norm without weights brings each
component to unit variance. Else as the paper's but for three things: batch norms learn their
scale, their epsilon is torch's (the paper's is 1e-12), and the whitening has no bias.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnreg import ModelOptions

LOGIT_SCALE = 1 / 9  # the paper's


class Whitening(nn.Module):
    """Images [N, C, H, W] to [N, 8C, H-1, W-1]: each component of a patch, and its negative."""

    basis: Tensor  # [4C, C, 2, 2], orthonormal

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("basis", patch_basis(channels))
        self.norm = nn.BatchNorm2d(4 * channels, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        components = self.norm(functional.conv2d(images, self.basis))
        return functional.gelu(torch.cat([components, -components], 1))


def patch_basis(channels: int) -> Tensor:
    """Brightness and opponent colours (for three channels) times Haar's four 2x2 patterns."""
    haar = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    colours = torch.eye(channels)
    if channels == 3:
        colours = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
        colours /= colours.norm(dim=1, keepdim=True)
    return torch.kron(colours, haar).reshape(4 * channels, channels, 2, 2)


class Block(nn.Module):
    """Convolution, pooling, convolution; a norm and GELU behind each. Halves the sides."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, channels)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = _norm(channels)
        self.conv2 = _convolution(channels, channels)
        self.norm2 = _norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.norm1(self.pool(self.conv1(x))))
        return functional.gelu(self.norm2(self.conv2(x)))


class Head(nn.Module):
    """The strongest response of each channel, wherever it is, to scaled logits."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # Not by adaptive max pooling, whose gradient on CUDA is another one each time.
        logits: Tensor = self.fc(x.amax((2, 3)))
        return logits * LOGIT_SCALE


def airbench(options: ModelOptions, *, widths: tuple[int, int, int]) -> nn.Module:
    stem = Whitening(options.in_channels)
    layers: dict[str, nn.Module] = {"whitening": stem}
    channels = 8 * options.in_channels
    for number, width in enumerate(widths, 1):
        layers[f"block{number}"] = Block(channels, width)
        channels = width
    layers["dropout"] = nn.Dropout(options.dropout or 0.0)
    layers["head"] = Head(channels, options.num_classes)
    return nn.Sequential(OrderedDict(layers))


def _convolution(in_channels: int, channels: int) -> nn.Conv2d:
    """The first filters pass their channel on, so that depth starts as no hindrance."""
    layer = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight[:in_channels].data)
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, momentum=0.4)
