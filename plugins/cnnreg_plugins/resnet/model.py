"""torchvision's ResNet with any number of input channels, and a stem for small images.

From 50 layers up it is what is called v1.5: a block that halves the map does so in its 3x3
convolution, where the paper does in the 1x1 before it.
"""

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from cnnreg import ModelOptions

LAYERS = {  # table 1 of the paper: blocks in conv2_x to conv5_x
    18: [2, 2, 2, 2],
    34: [3, 4, 6, 3],
    50: [3, 4, 6, 3],
    101: [3, 4, 23, 3],
    152: [3, 8, 36, 3],
}


def resnet(options: ModelOptions, *, depth: int, width_per_group: int = 64) -> nn.Module:
    block = Bottleneck if depth >= 50 else BasicBlock
    model: nn.Module = ResNet(
        block, LAYERS[depth], num_classes=options.num_classes, width_per_group=width_per_group
    )
    small = options.form == "small"
    kernel, stride = (3, 1) if small else (7, 2)
    model.conv1 = nn.Conv2d(
        options.in_channels, 64, kernel, stride=stride, padding=kernel // 2, bias=False
    )
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small:
        model.maxpool = nn.Identity()
    if options.dropout:
        # Beside the pool rather than in fc: the names of the weights stay the same.
        model.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Dropout(options.dropout))
    return model
