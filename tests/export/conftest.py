"""A small network with what usually breaks exports, and its files in every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cnnreg import ExportRequest, ModelContract, ModelFile
from cnnreg.images import normalise
from cnnreg.registry import Registry
from cnnreg.specs import Interface, Precision, to_data

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels

Exported = Callable[..., ModelFile]
BARE = Interface()


class TinyNet(nn.Module):
    """Batch norm, a residual, a channel shuffle, a depthwise convolution, three activations."""

    def __init__(self, channels: int = 8, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.SiLU(inplace=True)
        )
        self.last = nn.Sequential(nn.Conv2d(channels, 16, 1), nn.BatchNorm2d(16), nn.ReLU6())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5))
        self.classifier = nn.Linear(16, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        features = self._shuffle(features + self.branch(features))
        logits: Tensor = self.classifier(self.head(self.last(features)))
        return logits

    @staticmethod
    def _shuffle(features: Tensor) -> Tensor:
        count, channels, height, width = features.shape
        grouped = features.view(count, 2, channels // 2, height, width)
        return grouped.transpose(1, 2).reshape(count, channels, height, width)


def build_tiny_net() -> TinyNet:
    torch.manual_seed(0)
    network = TinyNet()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    nn.init.normal_(network.classifier.weight)
    return network.eval()


@pytest.fixture(scope="session")
def contract() -> ModelContract:
    return ModelContract(
        architecture="tiny",
        plugin="tests 1.0",
        num_classes=4,
        input_shape=(3, 16, 24),
        form="standard",
        dropout=None,
        classes=("cat", "Grüner Baum", "犬", 'quo"te'),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.25, 0.3),
        resize="letterbox",
        dataset="none",
    )


@pytest.fixture(scope="session")
def metadata(contract: ModelContract) -> dict[str, str]:
    return {
        "contract": json.dumps(to_data(contract), ensure_ascii=False),
        "precision": "fp32",
        "interface": json.dumps(to_data(BARE)),
        "labels": json.dumps(contract.classes, ensure_ascii=False),
        "text": 'two\nlines, a\ttab, <tags> & "quotes", Grüße 犬',
        "number": "0.10",
        "empty": "",
        "spaces": "  kept  ",
    }


@pytest.fixture(scope="session")
def images(contract: ModelContract) -> Pixels:
    channels, height, width = contract.input_shape
    return np.random.default_rng(0).integers(0, 256, (12, height, width, channels), np.uint8)


@pytest.fixture(scope="session")
def network() -> nn.Module:
    return build_tiny_net()


@pytest.fixture(scope="session")
def expected(network: nn.Module, contract: ModelContract, images: Pixels) -> Logits:
    with torch.inference_mode():
        inputs = torch.from_numpy(normalise(images, contract.mean, contract.std))
        logits: Logits = network(inputs).numpy()
    return logits


@pytest.fixture
def request_for(
    contract: ModelContract, metadata: dict[str, str], images: Pixels, tmp_path: Path
) -> Callable[..., ExportRequest]:
    """A request to write `model` into an empty folder of this test."""

    def make(model: nn.Module, precision: Precision = "fp32") -> ExportRequest:
        return ExportRequest(
            model=model,
            contract=contract,
            precision=precision,
            folder=tmp_path,
            metadata=metadata,
            calibration=images,
        )

    return make


@pytest.fixture(scope="session")
def exported(
    registry: Registry,
    network: nn.Module,
    contract: ModelContract,
    metadata: dict[str, str],
    images: Pixels,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    """The small network's file in a format and precision, written once, as one command would."""
    kept: dict[str, Any] = {}

    @cache
    def write(name: str, precision: Precision, interface: Interface = BARE) -> ModelFile:
        request = ExportRequest(
            model=network,
            contract=contract,
            precision=precision,
            folder=tmp_path_factory.mktemp(f"{name}-{precision}"),
            metadata=metadata,
            calibration=images,
            interface=interface,
            kept=kept,
        )
        path = registry.exporters[name].write(request)
        return ModelFile(
            path=path, format=name, precision=precision, contract=contract, interface=interface
        )

    return write
