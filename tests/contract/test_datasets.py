"""Every registered data set keeps the contract; of those that are downloaded, small stand-ins."""

from pathlib import Path

import numpy as np
import pytest

import stub_data
from cnnreg import DatasetSpec
from cnnreg.conformance import dataset, dataset_checks
from cnnreg.registry import load_registry

REGISTRY = load_registry()
SPECS = [entry.spec for entry in REGISTRY.datasets.entries]
CHECKS = [check.name for check in dataset_checks(REGISTRY)]
MNIST = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
CIFAR = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}


def made_up(spec: DatasetSpec, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random pixels [N, H, W, C] of the mean and deviation that are declared, and labels."""
    mean, std = np.array(spec.mean), np.array(spec.std)
    height, width = spec.image_shape[1:]
    labels = np.arange(4 * spec.num_classes) % spec.num_classes
    spread = mean * (1 - mean) / std**2 - 1
    random = np.random.default_rng(seed)
    shape = (len(labels), height, width, len(mean))
    shares = random.beta(mean * spread, (1 - mean) * spread, shape)
    return (shares * 255).round().astype(np.uint8), labels


@pytest.fixture
def places(spec: DatasetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    if spec.name in MNIST:
        splits = {name: made_up(spec, seed) for seed, name in enumerate(("train", "t10k"))}
        flat = {name: (pixels[..., 0], labels) for name, (pixels, labels) in splits.items()}
        stub_data.write_mnist(tmp_path / MNIST[spec.name] / "raw", **flat)
    elif spec.name in CIFAR:
        loader = getattr(pytest.importorskip("torchvision.datasets"), CIFAR[spec.name])
        batches = {}
        for seed, (name, _) in enumerate((*loader.train_list, *loader.test_list)):
            pixels, labels = made_up(spec, seed)
            batches[name] = pixels.transpose(0, 3, 1, 2).reshape(len(labels), -1), labels.tolist()
        names = [f"class {number}" for number in range(spec.num_classes)]
        stub_data.write_cifar(loader, tmp_path, batches, names, monkeypatch)
        # The md5 sums of the stand-in are right in this process alone.
        again = lambda config: dataset.open_dataset(REGISTRY, config).fingerprint  # noqa: E731
        monkeypatch.setattr(dataset, "fingerprint_elsewhere", again)
    elif spec.name == "folder":
        (tmp_path / "photos").mkdir()
        for size, name in enumerate(("cat", "dog"), start=6):
            stub_data.files(tmp_path / "photos" / name, size=(size, size))
        return {"folder": tmp_path / "photos"}
    return {"downloads": tmp_path}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_contract(spec: DatasetSpec, check: str, places: dict[str, Path]) -> None:
    (wanted,) = [one for one in dataset_checks(REGISTRY, **places) if one.name == check]
    outcome = wanted(spec)
    assert outcome.passed, outcome.reason
