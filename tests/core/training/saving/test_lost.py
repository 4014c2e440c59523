"""Checkpoints that are damaged, gone, or only out of reach now."""

from __future__ import annotations

import dataclasses
import errno
import shutil
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from cnnreg.errors import ModelFileError
from cnnreg.runs import open_run, read_metrics
from cnnreg.training.saving.checkpoint import read_checkpoint, save_checkpoint
from helpers import state_of, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("damage", ["cut", "bit", "gone"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(registry, stopped, whole, damage):
    content = bytearray(stopped.last.read_bytes())
    content[-20] ^= 1
    if damage == "gone":  # killed between two renames, on a disk without hard links
        stopped.last.unlink()
    else:
        stopped.last.write_bytes(content if damage == "bit" else content[:-10])
    said = []
    train(registry, stopped, note=said.append)
    assert "going on from the checkpoint before it: last.previous.safetensors" in said
    assert stopped.damaged.exists() == (damage != "gone")
    assert state_of(stopped) == state_of(whole)
    assert stopped.best.read_bytes() == whole.best.read_bytes()


def test_with_both_damaged_nothing_is_touched(registry, stopped):
    for path in (stopped.last, stopped.previous):
        path.write_bytes(b"<html>")
    with pytest.raises(ModelFileError, match="web page"):
        train(registry, stopped)
    assert stopped.last.read_bytes() == stopped.previous.read_bytes() == b"<html>"


def test_the_one_before_is_the_last_but_one(registry, stopped):
    assert read_checkpoint(stopped.last).state["progress"]["step"] == 26
    assert read_checkpoint(stopped.previous).state["progress"]["step"] == 21


@pytest.mark.parametrize("content", [None, b"<html>"])
@pytest.mark.parametrize("left", [True, False])
def test_lost_best_weights_are_found_anew(registry, stopped, whole, tmp_path, content, left):
    """Among the epochs to come, or else the last ones stand for them."""
    run = stopped
    if not left:
        shutil.copytree(whole.folder, tmp_path / "whole")
        run = open_run(tmp_path / "whole")
    run.best.unlink()
    if content:
        run.best.write_bytes(content)
    said = []
    train(registry, run, note=said.append)
    then = "the best epoch is sought anew" if left else "epoch 2, the last one, stands for it"
    assert said == [f"best.safetensors is lost: {then}"]
    assert run.result["best_epoch"] == read_checkpoint(run.best).state["epoch"] == 2


def test_a_lost_best_that_another_epoch_stands_for_is_measured_against_no_more(
    registry, whole, tmp_path
):
    run = open_run(shutil.copytree(whole.folder, tmp_path / "whole"))
    checkpoint = read_checkpoint(run.last)
    first, last = checkpoint.state["progress"]["history"]
    first.update(best=True, val_accuracy=1.0)
    last.update(best=False)
    save_checkpoint(run.last, checkpoint)
    run.best.unlink()
    train(registry, run)
    assert read_metrics(run.folder)[-1].best
    said = []
    recipe = dataclasses.replace(run.config.recipe, epochs=6)
    records = train(registry, run.changed(recipe=recipe), note=said.append)
    assert any(record.best for record in records)
    assert not [text for text in said if "best" in text]
    assert run.result["best_epoch"] > 2


@contextmanager
def opened_by(opening, file, monkeypatch):
    """The content that stands in `file` now is opened by `opening`."""
    real, there = Path.open, file.stat().st_ino

    def opened(path, *given, **options):
        found = path == file and path.stat().st_ino == there
        return opening() if found else real(path, *given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        yield


def bad_in_opening():
    """A file whose place on the disk has gone bad, elsewhere."""
    raise OSError(errno.EIO, "Input/output error")


def shut():
    """Another program has it open, as on Windows."""
    raise PermissionError(errno.EACCES, "Permission denied")


class OnBadPlace(BytesIO):
    """A file whose place on the disk has gone bad, as Windows tells it."""

    def read(self, *given):
        raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("bad", [OnBadPlace, bad_in_opening])
def test_a_checkpoint_on_a_bad_place_of_the_disk_falls_back_to_the_one_before(
    registry, stopped, whole, monkeypatch, bad
):
    said = []
    with opened_by(bad, stopped.last, monkeypatch):
        train(registry, stopped, note=said.append)
    assert "going on from the checkpoint before it: last.previous.safetensors" in said
    assert stopped.damaged.exists()
    assert state_of(stopped) == state_of(whole)


def test_best_weights_that_only_cannot_be_opened_now_are_kept(registry, stopped, monkeypatch):
    content = stopped.best.read_bytes()
    with (
        opened_by(shut, stopped.best, monkeypatch),
        pytest.raises(ModelFileError, match="Cannot read: Permission denied"),
    ):
        train(registry, stopped)
    assert stopped.best.read_bytes() == content


def test_a_checkpoint_that_only_cannot_be_read_now_is_not_put_aside(
    registry, stopped, whole, monkeypatch
):
    content = stopped.last.read_bytes()
    with (
        opened_by(shut, stopped.last, monkeypatch),
        pytest.raises(ModelFileError, match="is there, but cannot be read now"),
    ):
        train(registry, stopped)
    assert stopped.last.read_bytes() == content
    assert not stopped.damaged.exists()
    train(registry, stopped)
    assert state_of(stopped) == state_of(whole)
