"""Checkpoints: whole, verified, and nothing in them is code."""

from __future__ import annotations

import errno
import json
import pickle
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from cnnreg.errors import ModelFileError
from cnnreg.training.saving.checkpoint import (
    Checkpoint,
    is_lost,
    is_shut,
    load_model,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from helpers import contract


@pytest.fixture
def path(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    made = Checkpoint(
        contract(), model.state_dict(), {"epoch": 2}, {"rng/torch": torch.get_rng_state()}
    )
    save_checkpoint(tmp_path / "last.safetensors", made)
    return tmp_path / "last.safetensors"


def test_round_trip(path):
    read = read_checkpoint(path)
    assert read.contract == contract()
    assert read.state == {"epoch": 2}
    assert set(read.model) >= {"0.weight", "1.running_mean", "1.num_batches_tracked"}
    assert read.model["1.num_batches_tracked"].shape == ()
    assert set(read.extra) == {"rng/torch"}


def test_a_network_has_the_weights_of_the_file_and_none_are_drawn(tmp_path, registry):
    spec = registry.architectures["mlp"]
    model = spec.build(contract().options())
    save_checkpoint(tmp_path / "model.safetensors", Checkpoint(contract(), model.state_dict()))
    stream = torch.get_rng_state()
    loaded = load_model(tmp_path / "model.safetensors", spec)
    assert torch.equal(stream, torch.get_rng_state())
    found = loaded.state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())


def test_any_flipped_bit_and_any_cut_is_noticed(path):
    content = path.read_bytes()
    for position in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            read_checkpoint(path)
    for size in range(0, len(content), 211):
        path.write_bytes(content[:size])
        with pytest.raises(ModelFileError):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git-lfs"),
        (b"PK\x03\x04rest of an archive", "pickle archive"),
        (pickle.dumps({"weights": [1.0]}), "pickle"),
        (b"\xff" * 64, "Not a checkpoint"),
        ((10**18).to_bytes(8, "little") + b"{}", "Not a checkpoint"),
        ((40_000).to_bytes(8, "little") + b"[" * 40_000, "Not a checkpoint"),
        ((0x80).to_bytes(8, "little") + b'{"__metadata__"', "cut short"),  # begins as a pickle does
        (save({"w": torch.zeros(3)}), "saved elsewhere.*cnnreg import"),
    ],
)
def test_foreign_files_are_named_for_what_they_are(tmp_path, content, said):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=said) as caught:
        read_checkpoint(path)
    assert caught.value.exit_code == 4
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match="No such file"):
        read_checkpoint(tmp_path / "none.safetensors")


class Failing(BytesIO):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def read(self, *given):
        raise OSError(self.number, "failed")


def refusing(number):
    raise OSError(number, "failed")


@pytest.mark.parametrize(
    ("number", "opening", "lost"),
    [
        (errno.EIO, Failing, True),  # a bad place on the disk, by Linux,
        (errno.EACCES, Failing, True),  # and by Windows
        (errno.EIO, refusing, True),
        (errno.EACCES, refusing, False),
    ],
)
def test_what_cannot_be_read_is_lost_unless_it_is_only_shut(
    path, monkeypatch, number, opening, lost
):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *given, **options: opening(number))
        assert is_shut(path) != lost
        with nullcontext() if lost else pytest.raises(ModelFileError, match="Cannot read: failed"):
            assert is_lost(path)
    assert not is_lost(path)
    assert not is_shut(path)


def test_what_is_gone_is_lost_and_not_shut(path):
    path.unlink()
    assert is_lost(path)
    assert not is_shut(path)


def test_a_header_that_names_code_is_refused(tmp_path):
    from cnnreg.specs import to_data
    from cnnreg.training.saving import checkpoint as module

    header = json.dumps(
        {"schema": 1, "contract": {**to_data(contract()), "architecture": "os.system"}, "state": {}}
    )
    metadata = {"cnnreg": f"{module._digest(header, {})} {header}"}
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({}, metadata))
    with pytest.raises(ModelFileError, match="architecture name 'os.system'"):
        read_checkpoint(path)


def test_weights_of_another_network_change_nothing(path):
    model = nn.Sequential(nn.Linear(4, 5))
    before = model[0].weight.clone()
    with pytest.raises(ModelFileError, match=r"7 tensors differ \(0.bias, 0.weight, 1.bias, ...\)"):
        load_weights(model, read_checkpoint(path).model, path)
    assert torch.equal(model[0].weight, before)


def test_weights_that_are_no_numbers_are_refused(path):
    model = nn.Linear(2, 2)
    weights = {name: torch.full_like(t, float("nan")) for name, t in model.state_dict().items()}
    with pytest.raises(ModelFileError, match="NaN or infinity in 'weight'"):
        load_weights(model, weights, path)
