"""What several processes can share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cnnreg.data import data_config, open_dataset
from cnnreg.errors import DataError
from cnnreg.recipe import Recipe
from cnnreg.training.building import refuse_unshareable
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
