"""What the tests of `cnnreg compare` share: one comparison that nothing interrupted."""

from __future__ import annotations

import json

import pytest
import torch

from cnnreg.training.saving import saver
from comparisons import SMALL
from helpers import cli


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Batches are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_pictures_of_single_runs(monkeypatch):
    """They take longer than all of the training."""
    monkeypatch.setattr(saver.Saver, "draw", lambda self: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, one_thread):
    """A comparison that nothing interrupted: its folder and what --json printed."""
    folder = tmp_path_factory.mktemp("with spaces ü") / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saver.Saver, "draw", lambda self: None)
        code, out, err = cli(*SMALL, "--output", folder, "--json")
    assert code == 0, err
    return folder, json.loads(out)
