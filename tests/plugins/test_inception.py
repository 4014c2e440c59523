"""Inception v3's auxiliary head and small form, and the scale of the published weights."""

from types import SimpleNamespace

import pytest
import torch
from torchvision.models import GoogLeNet, Inception3

from cnnreg.images import normalise
from cnnreg.registry import Registry
from cnnreg.specs import IMAGENET_MOMENTS


def test_training_gives_a_plain_tuple_and_evaluation_the_logits(registry: Registry) -> None:
    spec = registry.architectures["inception_v3"]
    with torch.device("meta"):
        model = spec.build(spec.options(num_classes=7))
        images = torch.empty(2, 3, 299, 299)
        trained, evaluated = model.train()(images), model.eval()(images)
    assert type(trained) is tuple
    assert [tuple(head.shape) for head in trained] == [(2, 7), (2, 7)]
    assert tuple(evaluated.shape) == (2, 7)


@pytest.mark.parametrize("size", [75, 128, 224])
def test_standard_form_trains_below_the_papers_299_pixels(registry: Registry, size: int) -> None:
    spec = registry.architectures["inception_v3"]
    options = spec.options(num_classes=7, input_shape=(1, size, size))
    with torch.device("meta"):
        heads = spec.build(options).train()(torch.empty(2, 1, size, size))
    assert options.form == "standard"
    assert [tuple(head.shape) for head in heads] == [(2, 7), (2, 7)]


def test_small_form_begins_where_the_standard_form_cannot_go(registry: Registry) -> None:
    spec = registry.architectures["inception_v3"]
    options = spec.options(num_classes=7, input_shape=(3, 74, 74))
    with torch.device("meta"):
        logits = spec.build(options).train()(torch.empty(2, 3, 74, 74))
    assert options.form == "small"
    assert tuple(logits.shape) == (2, 7)


@pytest.mark.parametrize(
    ("name", "published"), [("googlenet", GoogLeNet), ("inception_v3", Inception3)]
)
def test_published_weights_get_images_at_torchvisions_scale(
    registry: Registry, name: str, published: type
) -> None:
    spec = registry.architectures[name]
    pixels = torch.randint(256, (2, 5, 5, 3), dtype=torch.uint8).numpy()
    told = SimpleNamespace(transform_input=True)  # as its weights are given out
    theirs = published._transform_input(
        told, torch.from_numpy(normalise(pixels, *IMAGENET_MOMENTS))
    )
    ours = normalise(pixels, spec.pretrained_mean, spec.pretrained_std)
    assert torch.allclose(torch.from_numpy(ours), theirs, atol=1e-5)


def test_where_googlenet_is_torchvisions_and_not_the_papers_its_summary_says_so(
    registry: Registry,
) -> None:
    spec = registry.architectures["googlenet"]
    with torch.device("meta"):
        modules = list(spec.build(spec.options()).modules())
    kernels = {module.kernel_size for module in modules if isinstance(module, torch.nn.Conv2d)}
    assert kernels == {(7, 7), (3, 3), (1, 1)}
    assert "3x3 for the paper's 5x5, with batch norm" in spec.summary
