"""A classifier on the feature pyramid of a ResNet: every scale has its say."""

from collections import OrderedDict

import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork

from cnnreg import ModelOptions
from cnnreg_plugins.resnet.model import resnet

PYRAMID = 256  # channels of every level: section 3 of the paper


class FPNClassifier(nn.Module):
    """The levels P2 to P5, each averaged over its map, concatenated, one linear layer."""

    def __init__(self, options: ModelOptions, *, depth: int) -> None:
        super().__init__()
        backbone = resnet(options, depth=depth)
        parts = dict(backbone.named_children())
        self.conv1, self.bn1, self.relu = parts["conv1"], parts["bn1"], parts["relu"]
        self.maxpool = parts["maxpool"]
        self.stages = nn.ModuleDict(
            {f"c{level}": parts[f"layer{level - 1}"] for level in range(2, 6)}
        )
        base = 256 if depth >= 50 else 64
        # Trained from scratch, the pyramid needs the batch norm that the paper's detector froze.
        self.fpn = FeaturePyramidNetwork(
            [base, 2 * base, 4 * base, 8 * base], PYRAMID, norm_layer=nn.BatchNorm2d
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(options.dropout or 0.0)
        self.fc = nn.Linear(4 * PYRAMID, options.num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        features = OrderedDict()
        for name, stage in self.stages.items():
            x = features[name] = stage(x)
        levels = self.fpn(features).values()
        pooled = torch.cat([self.avgpool(level) for level in levels], dim=1).flatten(1)
        logits: torch.Tensor = self.fc(self.dropout(pooled))
        return logits
