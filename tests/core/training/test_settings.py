"""Settings that others change are put back."""

from __future__ import annotations

import os

import pytest
import torch

from cnnreg.training.settings import SETTINGS, settings, settings_kept

OTHERS = {
    "default dtype": torch.float64,
    "default device": torch.device("meta"),
    "thread count": torch.get_num_threads() + 1,
    "gradient mode": False,
    "precision of float32": "medium",
    "deterministic mode": (True, True),
    "filling of fresh memory": False,
    "deterministic cuDNN": True,
    "cuDNN benchmarking": True,
    "TF32 in convolutions": False,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_each_is_put_back(name, tmp_path):
    other = OTHERS | {"working folder": os.path.realpath(tmp_path)}
    before = settings()
    with settings_kept():
        SETTINGS[name][1](other[name])
        assert settings()[name] == other[name]
    assert settings() == before


def test_what_only_warned_only_warns_again():
    with settings_kept():
        torch.use_deterministic_algorithms(True, warn_only=True)
        with settings_kept():
            torch.use_deterministic_algorithms(True)
        assert torch.is_deterministic_algorithms_warn_only_enabled()


def test_a_folder_that_is_gone_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getcwd", lambda: tmp_path.joinpath("gone").stat())
    with settings_kept():
        pass
