"""VGG: torchvision's, and its small form with one linear layer for a head."""

from collections import OrderedDict

from torch import nn
from torchvision.models.vgg import VGG, cfgs, make_layers

from cnnreg import ModelOptions

CONFIGURATIONS = {11: "A", 13: "B", 16: "D", 19: "E"}  # table 1 of the paper


def vgg(options: ModelOptions, *, depth: int, batch_norm: bool) -> nn.Module:
    features = make_layers(cfgs[CONFIGURATIONS[depth]], batch_norm=batch_norm)
    features[0] = nn.Conv2d(options.in_channels, 64, kernel_size=3, padding=1)
    if options.form == "small":
        return _small_vgg(features, options)
    dropout = 0.5 if options.dropout is None else options.dropout
    model: nn.Module = VGG(features, num_classes=options.num_classes, dropout=dropout)
    return model


def _small_vgg(features: nn.Sequential, options: ModelOptions) -> nn.Module:
    for module in features:
        if isinstance(module, nn.MaxPool2d):
            module.ceil_mode = True  # else 28 pixels end in a map of none
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
    layers: dict[str, nn.Module] = {
        "features": features,
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(options.dropout or 0.0),
        "classifier": nn.Linear(512, options.num_classes),
    }
    return nn.Sequential(OrderedDict(layers))
