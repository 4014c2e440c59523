"""What is built of a plugin's promises, where it goes, and what several processes can share."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from torch import nn

from cnnreg.data import data_config, open_dataset
from cnnreg.errors import DataError, MachineError, PluginError
from cnnreg.recipe import Recipe
from cnnreg.training.building import build_model, choose_device, refuse_unshareable
from helpers import photos


@pytest.mark.parametrize("where", ["train", "val"])
def test_processes_of_which_one_cannot_read_an_image_do_not_train_together(
    registry, tmp_path, where
):
    """Their files are alike by name and size; each would take its share of another batch."""
    here, there = (photos(tmp_path / place, 60) for place in ("here", "there"))
    opened = [
        open_dataset(registry, data_config(str(folder), registry)) for folder in (here, there)
    ]
    path = here / getattr(opened[1], where).files[0].relative_to(there)
    path.write_bytes(bytes(len(path.read_bytes())))
    said = []
    first = SimpleNamespace(size=2, from_first=lambda content: said.append(content) or content)
    second = SimpleNamespace(size=2, from_first=lambda content: said[0])
    refuse_unshareable(Recipe(), opened[1], first)
    refuse_unshareable(Recipe(), opened[1], second)
    assert opened[0].fingerprint == opened[1].fingerprint
    with pytest.raises(DataError, match="or those that can be read"):
        refuse_unshareable(Recipe(), opened[0], second)


class Wrong(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :7]


class Listing(nn.Module):
    def forward(self, images):
        return [images.flatten(1)[:, :10]]


def breaking(options):
    raise ValueError("no such depth")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda options: Listing(), r"returned list, expected \(2, 10\)"),
        (lambda options: nn.LazyLinear(10), r"cannot be saved: 'weight' has no shape"),
        (lambda options: Wrong(), r"returned \(2, 7\), expected \(2, 10\)"),
        (lambda options: "network", "built str, not an nn.Module"),
        (breaking, "ValueError: no such depth"),
        (lambda options: nn.Linear(3, 10), "on images of 28x28 failed"),
    ],
)
def test_a_builder_that_breaks_its_promise_is_named(registry, build, said):
    spec = dataclasses.replace(registry.architectures["mlp"], build=build)
    with pytest.raises(PluginError, match=said) as caught:
        build_model(spec, spec.options())
    assert caught.value.exit_code == 6


def test_an_absent_device_says_what_to_do():
    with pytest.raises(MachineError, match="--device cpu"):
        choose_device("cuda:77")
    assert choose_device("cpu").type == "cpu"
