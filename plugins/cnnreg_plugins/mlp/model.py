"""A multilayer perceptron on the flattened image."""

from collections import OrderedDict

from torch import nn

from cnnreg import ModelOptions

HIDDEN = (300, 100)


def mlp(options: ModelOptions) -> nn.Module:
    channels, height, width = options.input_shape
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    features = channels * height * width
    for number, hidden in enumerate(HIDDEN, start=1):
        layers[f"fc{number}"] = nn.Linear(features, hidden)
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
        layers[f"dropout{number}"] = nn.Dropout(options.dropout or 0.0)
        features = hidden
    layers["output"] = nn.Linear(features, options.num_classes)
    return nn.Sequential(OrderedDict(layers))
