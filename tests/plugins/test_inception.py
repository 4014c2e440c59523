"""Inception v3's auxiliary head, and the size at which its small form takes over."""

import pytest
import torch

from cnnreg.registry import Registry


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
