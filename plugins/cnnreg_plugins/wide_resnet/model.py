"""WRN-depth-width: pre-activation residual blocks, wide instead of deep (section 2)."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

from cnnreg import ModelOptions


class WideBlock(nn.Module):
    """BN-ReLU-conv twice, dropout between (figure 1d); a 1x1 shortcut where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut: nn.Module | None = None
        if in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = functional.relu(self.bn1(x))
        residual: torch.Tensor = self.conv1(active)
        residual = self.conv2(self.dropout(functional.relu(self.bn2(residual))))
        return residual + (x if self.shortcut is None else self.shortcut(active))


def wrn(options: ModelOptions, *, depth: int, width: int) -> nn.Module:
    """`depth` is 6n + 4; `width` is the paper's k."""
    blocks = (depth - 4) // 6
    channels = [16, 16 * width, 32 * width, 64 * width]
    dropout = options.dropout or 0.0
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(options.in_channels, 16, 3, padding=1, bias=False),
        "group1": _group(channels[0], channels[1], blocks, 1, dropout),
        "group2": _group(channels[1], channels[2], blocks, 2, dropout),
        "group3": _group(channels[2], channels[3], blocks, 2, dropout),
        "bn": nn.BatchNorm2d(channels[3]),
        "relu": nn.ReLU(inplace=True),
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(channels[3], options.num_classes),
    }
    model = nn.Sequential(OrderedDict(layers))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model


def _group(
    in_channels: int, channels: int, blocks: int, stride: int, dropout: float
) -> nn.Sequential:
    first = WideBlock(in_channels, channels, stride, dropout)
    return nn.Sequential(
        first, *(WideBlock(channels, channels, 1, dropout) for _ in range(blocks - 1))
    )
