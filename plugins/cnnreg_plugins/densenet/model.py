"""torchvision's DenseNet-BC with any number of input channels, and a stem for small images."""

from torch import nn
from torchvision.models.densenet import DenseNet

from cnnreg import ModelOptions

BLOCKS = {  # growth rate, layers of the four dense blocks: table 1 of the paper
    121: (32, (6, 12, 24, 16)),
    161: (48, (6, 12, 36, 24)),
    169: (32, (6, 12, 32, 32)),
    201: (32, (6, 12, 48, 32)),
}


def densenet(options: ModelOptions, *, depth: int) -> nn.Module:
    """Dropout follows the 3x3 convolutions of the dense blocks, as in torchvision.

    In the paper's section 4.2 it follows those of 1x1 and of the transitions too.
    """
    growth, layers = BLOCKS[depth]
    first = 2 * growth
    model: nn.Module = DenseNet(
        growth,
        layers,
        num_init_features=first,
        drop_rate=options.dropout or 0.0,
        num_classes=options.num_classes,
    )
    small = options.form == "small"
    kernel, stride = (3, 1) if small else (7, 2)
    stem = nn.Conv2d(
        options.in_channels, first, kernel, stride=stride, padding=kernel // 2, bias=False
    )
    nn.init.kaiming_normal_(stem.weight)
    features = model.get_submodule("features")
    features.register_module("conv0", stem)
    if small:
        features.register_module("pool0", nn.Identity())
    return model
