"""The CIFAR networks of section 4.2 of the ResNet paper, with its parameter-free shortcut A."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

from cnnreg import ModelOptions


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; where the map shrinks, the shortcut is strided and zero-padded."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.extra = channels - in_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = functional.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return functional.relu(out + self.shortcut(x))

    def shortcut(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 1:
            return x
        x = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, 0, self.extra))


def resnet_cifar(options: ModelOptions, *, depth: int) -> nn.Module:
    """`depth` is 6n + 2: three stages of n blocks with 16, 32 and 64 channels."""
    blocks = (depth - 2) // 6
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(options.in_channels, 16, 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(16),
        "relu": nn.ReLU(inplace=True),
        "layer1": _stage(16, 16, blocks, stride=1),
        "layer2": _stage(16, 32, blocks, stride=2),
        "layer3": _stage(32, 64, blocks, stride=2),
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(options.dropout or 0.0),
        "fc": nn.Linear(64, options.num_classes),
    }
    model = nn.Sequential(OrderedDict(layers))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def _stage(in_channels: int, channels: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)))
