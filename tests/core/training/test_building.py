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


@pytest.fixture
def folders(registry, tmp_path):
    """The same photographs in two places, with what opens each."""
    made = [photos(tmp_path / place, 60) for place in ("here", "there")]
    return made, [open_dataset(registry, data_config(str(place), registry)) for place in made]


def spoil(path):
    """Of the same name and size, and unreadable."""
    path.write_bytes(bytes(len(path.read_bytes())))


def refuse_together(first, second):
    """As the second of two processes would, each with its own data."""
    said = []
    telling = SimpleNamespace(size=2, from_first=lambda content: said.append(content) or content)
    told = SimpleNamespace(size=2, from_first=lambda content: said[0])
    refuse_unshareable(Recipe(), first, telling)
    refuse_unshareable(Recipe(), second, told)


@pytest.mark.parametrize("where", ["train", "val"])
def test_processes_of_which_one_cannot_read_an_image_do_not_train_together(folders, where):
    """Their files are alike by name and size; each would take its share of another batch."""
    (here, there), (ours, theirs) = folders
    spoil(here / getattr(theirs, where).files[0].relative_to(there))
    refuse_together(theirs, theirs)
    assert ours.fingerprint == theirs.fingerprint
    with pytest.raises(DataError, match="or those that can be read"):
        refuse_together(theirs, ours)


def test_nor_do_those_that_cannot_read_two_images_of_one_name(folders):
    """Each class has a folder, in which names begin anew."""
    (here, there), (ours, theirs) = folders
    cats, dogs = (
        {path.name for path in ours.train.samples.files if path.parent.name == label}
        for label in ("cat", "dog")
    )
    name = min(cats & dogs)
    spoil(here / "cat" / name)
    spoil(there / "dog" / name)
    with pytest.raises(DataError, match="or those that can be read"):
        refuse_together(ours, theirs)


def test_where_their_folders_lie_does_not_matter(folders):
    (here, there), (ours, theirs) = folders
    for folder in (here, there):
        spoil(folder / "cat" / "001.png")
    refuse_together(ours, theirs)


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
    assert choose_device("CPU").type == "cpu"
