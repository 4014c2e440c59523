"""Dropout reaches networks whose papers have none, without renaming a weight."""

from collections.abc import Iterator

import pytest
import torch

from cnnreg.registry import Registry

NAMES = ("densenet121", "fpn_resnet18", "resnet18", "resnet20", "shufflenet_v2_x0_5", "wrn_16_4")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests side by side on few cores wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_makes_training_random_and_evaluation_not(registry: Registry, name: str) -> None:
    spec = registry.architectures[name]
    shape = (3, 16, 16)
    torch.manual_seed(0)
    plain = spec.build(spec.options(num_classes=4, input_shape=shape))
    dropping = spec.build(spec.options(num_classes=4, input_shape=shape, dropout=0.5))
    dropping.load_state_dict(plain.state_dict(), strict=True)
    images = torch.randn(4, *shape)
    with torch.no_grad():
        assert torch.equal(plain.train()(images), plain(images))
        assert not torch.equal(dropping.train()(images), dropping(images))
        dropping.load_state_dict(plain.state_dict())
        assert torch.allclose(plain.eval()(images), dropping.eval()(images), atol=1e-5)
