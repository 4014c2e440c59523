"""Files made elsewhere: told by their content, pickles never in this process, one line each."""

from __future__ import annotations

import shutil
import tempfile
from hashlib import sha256
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from cnnreg.errors import MachineError, ModelFileError, UsageError
from cnnreg.importing import reading
from cnnreg.importing.reading import CHILD, read_weights
from helpers import Canary, make_run, train

TENSORS = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.zeros(2).half()}


@pytest.fixture(autouse=True)
def never_here(monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *args, **options: pytest.fail("read in this process"))


def test_a_pickle_is_read_by_a_child(tmp_path):
    file = tmp_path / "Gewichte ü.pt"
    tied = {**TENSORS, "tied": TENSORS["fc.weight"], "turned": TENSORS["fc.weight"].T}
    torch.save({"state_dict": tied}, file)
    found = read_weights(file)
    assert found.sha256 == sha256(file.read_bytes()).hexdigest()
    assert found.tensors.keys() == tied.keys()
    assert all(torch.equal(found.tensors[name], tied[name]) for name in tied)
    assert found.tensors["fc.bias"].dtype == torch.float16


def test_safetensors_are_read_here(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_read_apart", lambda *_: pytest.fail("no child is needed"))
    save_file({f"ema.{name}": tensor for name, tensor in TENSORS.items()}, tmp_path / "file.pt")
    assert set(read_weights(tmp_path / "file.pt").tensors) == {"ema.fc.bias", "ema.fc.weight"}
    assert set(read_weights(tmp_path / "file.pt", "ema").tensors) == set(TENSORS)
    with pytest.raises(ModelFileError, match="No tensor's name begins with 'model.'"):
        read_weights(tmp_path / "file.pt", "model")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_pickle_that_runs_something_runs_nothing(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary, file = tmp_path / "canary", tmp_path / f"evil{suffix}"
    torch.save({"state_dict": TENSORS, "x": Canary(canary)}, file)
    with pytest.raises(ModelFileError, match=r"'\w+\.system' was not run.*state_dict\(\)"):
        read_weights(file)
    assert not canary.exists()


def test_a_torch_that_lies_beside_the_file_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("open('canary', 'w')")
    torch.save(TENSORS, tmp_path / "file.pt")
    monkeypatch.chdir(tmp_path)
    assert set(read_weights(tmp_path / "file.pt").tensors) == set(TENSORS)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"  <!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer"),
        (bytes(range(150, 250)), "Not a checkpoint"),
    ],
)
def test_what_is_no_file_of_weights(tmp_path, content, said):
    (tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(ModelFileError, match=said) as caught:
        read_weights(tmp_path / "file.pt")
    assert "\n" not in str(caught.value)


def test_a_folder_and_nothing(tmp_path):
    with pytest.raises(ModelFileError, match="a folder"):
        read_weights(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        read_weights(tmp_path / "file.pt")


def test_the_limits_of_size_and_time(tmp_path, monkeypatch):
    torch.save(TENSORS, tmp_path / "file.pt")
    monkeypatch.setattr(reading, "SECONDS", 0.01)
    with pytest.raises(ModelFileError, match="took more than"):
        read_weights(tmp_path / "file.pt")
    monkeypatch.setattr(reading, "MAX_BYTES", 10)
    with pytest.raises(ModelFileError, match="larger than"):
        read_weights(tmp_path / "file.pt")


def test_a_full_disk_is_no_damaged_file(tmp_path, monkeypatch):
    torch.save(TENSORS, tmp_path / "file.pt")
    (tmp_path / "child.py").write_text(
        "import runpy, sys\n"
        "sys.argv[2] = sys.argv[2] + '/there is no such folder/x'\n"
        f"runpy.run_path({str(CHILD)!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(reading, "CHILD", tmp_path / "child.py")
    with pytest.raises(MachineError, match="could not be written") as refused:
        read_weights(tmp_path / "file.pt")
    assert refused.value.where == tempfile.gettempdir()
    assert "TMPDIR" in refused.value.hint
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(MachineError, match="Disk full"):
        read_weights(tmp_path / "file.pt")


def test_a_child_that_dies_is_one_line(tmp_path, monkeypatch):
    torch.save(TENSORS, tmp_path / "file.pt")
    (tmp_path / "child.py").write_text("import os; os.abort()")
    monkeypatch.setattr(reading, "CHILD", tmp_path / "child.py")
    with pytest.raises(ModelFileError, match="its reader ended with code"):
        read_weights(tmp_path / "file.pt")


def test_a_checkpoint_of_cnnregs_own_is_used_as_it_is(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    train(registry, run)
    with pytest.raises(ModelFileError, match="cnnreg's own"):
        read_weights(run.best)
