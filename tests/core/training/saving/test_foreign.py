"""Tensors made elsewhere: what is read, and by which names."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from cnnreg.errors import ModelFileError
from cnnreg.training.saving import foreign
from cnnreg.training.saving.foreign import copy_fitting, named_as, read_tensors
from cnnreg.training.start import start_from
from helpers import contract


def names_of(tensors, known, renames=()):
    made = {name: torch.tensor(number) for number, name in enumerate(tensors)}
    return {name: int(tensor) for name, tensor in named_as(known, made, renames).items()}


def test_wrappers_leave_prefixes():
    known = ["fc.weight", "model.bias"]
    assert names_of(["_orig_mod.module.fc.weight", "model.bias"], known) == {
        "fc.weight": 0,
        "model.bias": 1,
    }
    assert names_of(["model.module.fc.weight"], known) == {"fc.weight": 0}
    assert names_of(["module.other", "n_averaged"], known) == {"module.other": 0, "n_averaged": 1}


def test_a_name_that_fits_as_it_is_wins():
    assert names_of(["module.fc.weight", "fc.weight"], ["fc.weight"]) == {
        "fc.weight": 1,
        "module.fc.weight": 0,
    }


def test_densenets_published_files_have_older_names(registry):
    spec = registry.architectures["densenet121"]
    with torch.device("meta"):
        wanted = spec.build(spec.options()).state_dict()
    inner = re.compile(r"(denselayer\d+\.(?:norm|conv))(\d)")
    old = {inner.sub(r"\1.\2", f"module.{name}"): tensor for name, tensor in wanted.items()}
    assert "module.features.denseblock1.denselayer1.norm.1.weight" in old
    assert named_as(wanted, old, spec.renames).keys() == wanted.keys()


def test_training_starts_from_older_names_too(registry, tmp_path):
    spec = registry.architectures["mlp"]
    model = spec.build(spec.options(num_classes=3, input_shape=(1, 8, 8)))
    state = model.state_dict()
    save_file(
        {f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "w.safetensors"
    )
    assert (
        "took 6 of 6" in start_from(str(tmp_path / "w.safetensors"), spec, model, contract()).said
    )


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (torch.complex64, 1, "complex numbers"),
        (torch.float64, 1e300, "NaN or infinity"),  # of float32 it is more than there is
        (torch.float8_e5m2, float("nan"), "NaN or infinity"),
    ],
)
def test_what_is_no_number_of_the_networks_kind_changes_nothing(kind, value, said):
    model = torch.nn.Linear(2, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    bias = torch.tensor([value, value], dtype=torch.float64).to(kind)
    tensors = {"weight": torch.ones(2, 2), "bias": bias}
    with pytest.raises(ModelFileError, match=f"{said} in 'bias'"):
        copy_fitting(model, tensors, "linear", None)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<html>", "web page"),
        ((1 << 40).to_bytes(8, "little") + b"{", "Not a safetensors file"),
        ((400).to_bytes(8, "little") + b'{"a"', "Not a whole safetensors file"),
        ((4).to_bytes(8, "little") + b"{]}]", "Not a whole safetensors file"),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path, content, said):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelFileError, match=said):
        read_tensors(tmp_path / "file")


def test_a_shape_larger_than_the_file_is_refused(tmp_path):
    entry = {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}
    header = json.dumps(entry).encode()
    (tmp_path / "file").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(ModelFileError, match="Not a whole safetensors file"):
        read_tensors(tmp_path / "file")


def test_tensors_are_counted(tmp_path, monkeypatch):
    save_file({"a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "file")
    monkeypatch.setattr(foreign, "MAX_TENSORS", 1)
    with pytest.raises(ModelFileError, match="more than 1 tensors"):
        read_tensors(tmp_path / "file")
