"""Where a ResNet is not the paper's, its summary says so."""

import pytest
import torch

from cnnreg.registry import Registry


@pytest.mark.parametrize(("depth", "strides"), [(34, (2, 1)), (50, (1, 2))])
def test_the_convolution_that_halves_the_map(
    registry: Registry, depth: int, strides: tuple[int, int]
) -> None:
    spec = registry.architectures[f"resnet{depth}"]
    with torch.device("meta"):
        block = spec.build(spec.options()).get_submodule("layer2.0")
    found = tuple(block.get_submodule(name).stride[0] for name in ("conv1", "conv2"))
    assert found == strides
    assert ("v1.5" in spec.summary) == (strides == (1, 2))
