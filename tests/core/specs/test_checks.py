"""Specs refuse what they cannot be, where they are made."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from helpers import spec


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("paper", None),
        ("summary", 3),
        ("summary", "two\nlines"),
        ("recipe", {"epochs": 3}),
        ("input_shape", (28, 28)),
        ("tags", "small"),
        ("tags", (1,)),
        ("tags", ({1},)),
        ("parameters", True),
        ("num_classes", "10"),
        ("num_classes", 1),
        ("min_size", 28.5),
        ("small_form", True),
        ("aux_weight", np.float32(0.3)),
        ("aux_weight", "0.3"),
        ("aux_weight", -0.3),
        ("pretrained", "https://example.org"),
        ("renames", (("(", "x"),)),
        ("renames", (("x", r"\2"),)),
        ("renames", (("x",),)),
        ("renames", {"a": "b"}),
    ],
)
def test_a_spec_of_other_types_is_refused_where_it_is_made(field, value):
    with pytest.raises(ValueError, match="tiny: "):
        replace(spec(), **{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("year", {2026}), ("year", "2026"), ("title", None), ("url", b"x")]
)
def test_a_paper_is_a_title_a_year_and_an_address(field, value):
    with pytest.raises(ValueError, match=f"paper: {field} "):
        replace(spec().paper, **{field: value})


@pytest.mark.parametrize(
    ("catalog", "field", "value"),
    [
        ("exporters", "precisions", "fp32"),
        ("exporters", "precisions", ()),
        ("exporters", "precisions", ("fp64",)),
        ("exporters", "requires", "torch"),
        ("exporters", "refines", 1),
        ("exporters", "write", None),
        ("exporters", "example", None),
        ("runtimes", "formats", "onnx"),
        ("runtimes", "formats", ()),
        ("runtimes", "requires", "torch"),
        ("runtimes", "devices", {"CPU": "mine"}),
        ("runtimes", "details", {}),
        ("runtimes", "metadata", "text"),
        ("datasets", "url", None),
        ("datasets", "num_classes", "10"),
        ("optimizers", "learning_rate", "0.1"),
        ("optimizers", "learning_rate", 0),
        ("optimizers", "learning_rate", nan),
    ],
)
def test_so_are_specs_of_other_kinds(registry, catalog, field, value):
    one = getattr(registry, catalog).specs[0]
    with pytest.raises(ValueError, match=f"{one.name}: {field} "):
        replace(one, **{field: value})


@pytest.mark.parametrize("mean", [(123.7, 116.3, 103.5), (0.5, 0.5, -0.1)])
def test_a_mean_is_of_pixels_of_0_to_1(registry, mean):
    said = "is not of pixels of 0 to 1: divide by 255"
    with pytest.raises(ValueError, match=said):
        replace(spec(), pretrained_mean=mean)
    with pytest.raises(ValueError, match=said):
        replace(registry.datasets["cifar10"], mean=mean)
    assert replace(spec(), pretrained_mean=(0, 0.5, 1)).pretrained_mean == (0, 0.5, 1)


def test_auto_is_no_augmentation_of_a_data_set(registry):
    """It is what a recipe calls that of the data set."""
    one = registry.datasets["digits"]
    said = "digits: augment must be one of none, crop, crop-flip, not 'auto'"
    with pytest.raises(ValueError, match=said):
        replace(one, augment="auto")
    assert replace(one, augment="none").augment == "none"


def test_whole_numbers_are_numbers():
    assert replace(spec(), aux_weight=1).aux_weight == 1
