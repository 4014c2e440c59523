"""MobileNet v1 from its paper, v2 from torchvision; small forms shrink the image 8-fold, not 32."""

from collections import OrderedDict

from torch import nn
from torchvision.models.mobilenetv2 import MobileNetV2

from cnnreg import ModelOptions

V1_BLOCKS = (  # channels, stride: table 1 of the paper
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),  # printed as stride 2 in the paper, though its input and output are both 7x7
)

V2_BLOCKS = (  # expansion, channels, repeats, stride: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class DepthwiseSeparable(nn.Sequential):
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution across channels."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False
            ),
            nn.BatchNorm2d(in_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(in_channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


def mobilenet_v1(options: ModelOptions, *, width: float) -> nn.Module:
    """`width` is the paper's multiplier alpha, applied to every layer (section 3.3)."""
    small = options.form == "small"
    channels = int(32 * width)
    stem = nn.Conv2d(options.in_channels, channels, 3, 1 if small else 2, padding=1, bias=False)
    layers: dict[str, nn.Module] = {
        "conv": stem,
        "bn": nn.BatchNorm2d(channels),
        "relu": nn.ReLU(inplace=True),
    }
    for index, (base, stride) in enumerate(V1_BLOCKS):
        first_strided = index == 1
        block = DepthwiseSeparable(
            channels, int(base * width), 1 if small and first_strided else stride
        )
        layers[f"block{index + 1}"] = block
        channels = int(base * width)
    layers |= {
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(options.dropout or 0.0),
        "fc": nn.Linear(channels, options.num_classes),
    }
    model = nn.Sequential(OrderedDict(layers))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    return model


def mobilenet_v2(options: ModelOptions) -> nn.Module:
    small = options.form == "small"
    settings = [list(block) for block in V2_BLOCKS]
    if small:
        settings[1][3] = 1
    dropout = 0.2 if options.dropout is None else options.dropout
    model: nn.Module = MobileNetV2(
        num_classes=options.num_classes, inverted_residual_setting=settings, dropout=dropout
    )
    stem = nn.Conv2d(options.in_channels, 32, 3, 1 if small else 2, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out")
    model.get_submodule("features.0").register_module("0", stem)
    return model
