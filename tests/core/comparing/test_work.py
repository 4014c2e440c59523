"""A trial's run is one of its own folder: begun, gone on with, or another's."""

from __future__ import annotations

import dataclasses

import pytest

from cnnreg.comparing.work import DataSets, check_data, open_trial
from cnnreg.data import DataConfig
from cnnreg.errors import DataError, UsageError
from cnnreg.recipe import Recipe
from comparisons import trial
from helpers import picture

DIGITS = DataConfig(name="digits")


@pytest.fixture
def data_sets(registry):
    return DataSets(registry)


@pytest.fixture
def opened(registry, data_sets, tmp_path):
    """The run of a trial in one folder, of the data given."""

    def opened(of, config=DIGITS, recipe=None):
        dataset = data_sets.open(of.architecture, config)
        return open_trial(
            registry,
            of,
            recipe or Recipe(),
            config=config,
            dataset=dataset,
            folder=tmp_path / "trial",
        )

    return opened


def test_a_run_is_gone_on_with_and_swept_of_what_was_killed_before_it(opened, tmp_path):
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / ".cnnreg-tmp-1-run.json").touch()
    run = opened(trial())
    assert [path.name for path in run.folder.iterdir() if path.name.startswith(".")] == []
    assert opened(trial()).config == run.config


@pytest.mark.parametrize(
    "another",
    [
        {"of": trial(architecture="simple_cnn")},
        {"of": trial(rate=0.1)},
        {"of": trial(seed=1)},
        {"of": trial(), "recipe": Recipe(epochs=77)},
        {"of": trial(), "config": dataclasses.replace(DIGITS, image_size=16)},
        {"of": trial(), "config": dataclasses.replace(DIGITS, split_seed=9)},
    ],
    ids=["network", "rate", "seed", "recipe", "size", "split"],
)
def test_a_folder_that_holds_another_training_is_refused(opened, another):
    opened(trial())
    with pytest.raises(UsageError, match="holds a training of another comparison"):
        opened(**another)


def test_networks_of_one_size_share_the_decoded_images(data_sets, tmp_path):
    of_mlp = data_sets.open("mlp", DIGITS)
    assert data_sets.open("mlp", DIGITS) is of_mlp
    assert data_sets.open("simple_cnn", DIGITS) is of_mlp
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(3):
            image = picture(320, 320).rotate(10 * number + ord(label))
            image.save(tmp_path / "photos" / label / f"{number}.png")
    folder = DataConfig(name="folder", folder=tmp_path / "photos")
    shapes = [data_sets.open(name, folder).image_shape for name in ("resnet18", "inception_v3")]
    assert shapes == [(3, 224, 224), (3, 299, 299)]


def test_other_images_of_one_name_are_refused(data_sets):
    dataset = data_sets.open("mlp", DIGITS)
    check_data("digits", dataset, dataset.fingerprint)
    with pytest.raises(DataError, match="'digits' holds other images here"):
        check_data("digits", dataset, "another")
