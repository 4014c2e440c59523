"""ShuffleNet v1 from its paper, v2 from torchvision."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional
from torchvision.models.shufflenetv2 import ShuffleNetV2

from cnnreg import ModelOptions

GROUPS = 3
V1_STAGES = ((240, 4), (480, 8), (960, 4))  # channels, units: table 1 of the paper, g = 3

V2_CHANNELS = {  # table 5 of the paper
    0.5: [24, 48, 96, 192, 1024],
    1.0: [24, 116, 232, 464, 1024],
    1.5: [24, 176, 352, 704, 1024],
    2.0: [24, 244, 488, 976, 2048],
}


class ShuffleUnit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1 (figure 2).

    A strided unit concatenates its shortcut instead of adding it, so its branch
    makes only the channels that are new.
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int, first_groups: int) -> None:
        super().__init__()
        middle = channels // 4
        new = channels if stride == 1 else channels - in_channels
        self.reduce = nn.Sequential(
            nn.Conv2d(in_channels, middle, 1, groups=first_groups, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(middle, middle, 3, stride, padding=1, groups=middle, bias=False),
            nn.BatchNorm2d(middle),
        )
        self.expand = nn.Sequential(
            nn.Conv2d(middle, new, 1, groups=GROUPS, bias=False),
            nn.BatchNorm2d(new),
        )
        self.pool = None if stride == 1 else nn.AvgPool2d(3, stride=stride, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new = self.expand(self.depthwise(shuffle(self.reduce(x))))
        joined = x + new if self.pool is None else torch.cat((self.pool(x), new), dim=1)
        return functional.relu(joined)


def shuffle(x: torch.Tensor) -> torch.Tensor:
    """Deal the channels of each group out over all groups."""
    images, channels, height, width = x.shape
    groups = x.view(images, GROUPS, channels // GROUPS, height, width)
    return groups.transpose(1, 2).reshape(x.shape)


def shufflenet_v1(options: ModelOptions) -> nn.Module:
    small = options.form == "small"
    stem = nn.Conv2d(options.in_channels, 24, 3, 1 if small else 2, padding=1, bias=False)
    layers: dict[str, nn.Module] = {
        "conv1": stem,
        "bn1": nn.BatchNorm2d(24),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1),
    }
    in_channels = 24
    for number, (channels, units) in enumerate(V1_STAGES, start=2):
        # The first 1x1 of stage 2 is not grouped: its 24 inputs are too few (section 3.2).
        first_groups = 1 if number == 2 else GROUPS
        stage = [ShuffleUnit(in_channels, channels, stride=2, first_groups=first_groups)]
        for _ in range(units - 1):
            stage.append(ShuffleUnit(channels, channels, stride=1, first_groups=GROUPS))
        layers[f"stage{number}"] = nn.Sequential(*stage)
        in_channels = channels
    layers |= {
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(options.dropout or 0.0),
        "fc": nn.Linear(in_channels, options.num_classes),
    }
    model = nn.Sequential(OrderedDict(layers))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    return model


def shufflenet_v2(options: ModelOptions, *, width: float) -> nn.Module:
    model: nn.Module = ShuffleNetV2([4, 8, 4], V2_CHANNELS[width], num_classes=options.num_classes)
    small = options.form == "small"
    stem = nn.Conv2d(options.in_channels, 24, 3, 1 if small else 2, padding=1, bias=False)
    model.get_submodule("conv1").register_module("0", stem)
    if small:
        model.maxpool = nn.Identity()
    if options.dropout:
        # Whole maps dropped before the mean over each map: dropout of the classifier's input.
        model.get_submodule("conv5").register_module("3", nn.Dropout2d(options.dropout))
    return model
