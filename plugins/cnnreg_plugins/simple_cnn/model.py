"""Two convolutions and two linear layers."""

from collections import OrderedDict

from torch import nn

from cnnreg import ModelOptions


def simple_cnn(options: ModelOptions) -> nn.Module:
    channels, height, width = options.input_shape
    flat = 64 * (height // 4) * (width // 4)
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, 32, kernel_size=3, padding=1),
        "relu1": nn.ReLU(inplace=True),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(32, 64, kernel_size=3, padding=1),
        "relu2": nn.ReLU(inplace=True),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(flat, 128),
        "relu3": nn.ReLU(inplace=True),
        "dropout": nn.Dropout(options.dropout or 0.0),
        "fc2": nn.Linear(128, options.num_classes),
    }
    return nn.Sequential(OrderedDict(layers))
