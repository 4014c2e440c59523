"""The process that reads pickles: what it takes out, what it refuses, and its limits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pytest
import torch

from cnnreg.importing import child
from cnnreg.importing.reading import CHILD
from helpers import Canary

A, B = {"a": torch.ones(2)}, {"b": torch.zeros(2)}


@pytest.mark.parametrize(
    ("content", "key", "names"),
    [
        (A, "", ["a"]),
        ({"state_dict": A, "epoch": torch.tensor(3)}, "", ["a"]),
        ({"model": {"model_state_dict": A}}, "", ["a"]),
        ({"model": A, "model_ema": B}, "model_ema", ["b"]),
        ({"ema": {"state_dict": B}, "model": A}, "ema", ["b"]),
        ({"a": torch.ones(1), "_extra": 3, 4: torch.ones(1)}, "", ["a"]),
    ],
)
def test_wrappings_are_taken_off(content, key, names):
    assert list(child.select(content, key)) == names


@pytest.mark.parametrize(
    ("content", "key", "said"),
    [
        ({"weights": A, "epoch": 3}, "", "no tensors by name; its keys are weights, epoch"),
        ({"model": A, "ema": B}, "emma", "no key 'emma'; there are model, ema"),
        ([torch.ones(1)], "", "no tensors by name"),
        ({}, "", "no tensors by name"),
        (torch.ones(1), "a", "no key 'a'"),
    ],
)
def test_what_holds_no_tensors_by_name(content, key, said):
    with pytest.raises(child.Refused, match=said):
        child.select(content, key)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.ones(3).to_sparse(), "no ordinary tensor"),
        (torch.ones(3, device="meta"), "no ordinary tensor"),
        (torch.zeros(1).expand(1 << 40), "far larger than the file"),
    ],
)
def test_tensors_that_are_none(tensor, said):
    with pytest.raises(child.Refused, match=said):
        child.checked({"a": tensor}, 1000)


def test_tensors_are_counted(monkeypatch):
    monkeypatch.setattr(child, "MAX_TENSORS", 1)
    with pytest.raises(child.Refused, match="more than 1 tensors"):
        child.checked({**A, **B}, 1000)


def test_settings_beside_the_weights_do_no_harm(tmp_path):
    torch.save({"model": A, "args": Namespace(lr=0.1)}, tmp_path / "file.pt")
    assert child.read(tmp_path / "file.pt")["model"]["a"].tolist() == [1, 1]


def test_an_archive_that_unfolds_is_refused(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", b"\0" * (16 << 20))
    with pytest.raises(child.Refused, match="unfolds"):
        child.refuse_programs(tmp_path / "bomb.pt")


def test_another_archive_is_refused(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.ones(2))
    with pytest.raises(child.Refused, match="not made by torch.save"):
        child.refuse_programs(tmp_path / "weights.npz")


@pytest.fixture
def answer(tmp_path, monkeypatch, capsys):
    """What `child.main` says to a file, in this process, which must not be limited."""
    monkeypatch.setattr(child, "limit", lambda size: None)

    def answer(file):
        assert child.main(file, tmp_path / "out.safetensors") == 1
        said = json.loads(capsys.readouterr().out)
        return f"{said['what']} {said['hint']}"

    return answer


both = pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])


@both
def test_a_pickle_that_runs_something_runs_nothing(tmp_path, answer, new):
    content = {"state_dict": A, "x": Canary(tmp_path / "canary")}
    torch.save(content, tmp_path / "evil.pt", _use_new_zipfile_serialization=new)
    assert re.search(r"'\w+\.system' was not run", answer(tmp_path / "evil.pt"))
    assert not (tmp_path / "canary").exists()


@both
def test_whole_modules_are_refused(tmp_path, answer, new):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "file.pt", _use_new_zipfile_serialization=new)
    said = answer(tmp_path / "file.pt")
    assert "'torch.nn.modules.linear.Linear' was not run" in said
    assert "torch.save(model.state_dict(), 'weights.pt')" in said


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_refused(tmp_path, answer):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "file.pt")
    assert re.search(r"TorchScript.*torch.save\(model.state_dict", answer(tmp_path / "file.pt"))


@both
def test_a_file_cut_anywhere(tmp_path, answer, new):
    file = tmp_path / "file.pt"
    torch.save({"a": torch.ones(1000)}, file, _use_new_zipfile_serialization=new)
    content = file.read_bytes()
    for size in (2, 10, 100, 1000, len(content) - 1):
        file.write_bytes(content[:size])
        assert "cut short or damaged" in answer(file), size


@pytest.mark.parametrize("content", [b"PK\x03\x04xxxxxxxx", b"\x80\x02xxxxxxxx", b"\x80\x02}q\0."])
def test_what_only_begins_as_a_pickle(tmp_path, answer, content):
    (tmp_path / "file.pt").write_bytes(content)
    assert answer(tmp_path / "file.pt")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux minds what is mapped")
def test_memory_is_limited():
    code = (
        "import sys; from pathlib import Path; from importlib.util import *\n"
        f"spec = spec_from_file_location('child', {str(CHILD)!r}); child = module_from_spec(spec)\n"
        "spec.loader.exec_module(child); child.limit(0); torch = child.torch\n"
        "torch.empty(1 << 20)\n"
        "try: torch.empty(child.MEMORY + (1 << 30), dtype=torch.uint8)\n"
        "except RuntimeError as error: print(child.explain(error)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert "more memory than a file of its size" in done.stdout
