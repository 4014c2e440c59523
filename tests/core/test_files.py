"""Writing files: whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cnnreg import files
from cnnreg.errors import MachineError


def test_the_old_file_survives_a_failing_write(tmp_path, monkeypatch):
    target = tmp_path / "state.json"
    files.write_text(target, "old")

    def full_disk(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(MachineError, match="Disk full: needs 0.0 MB"):
        files.write_text(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_data_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (events.append("rename"), replace(self, to))[1]
    )
    files.write_bytes(tmp_path / "x", b"content")
    assert events[:2] == ["fsync", "rename"]


@pytest.mark.usefixtures("homeless")
def test_without_a_home_the_error_says_how_to_name_one():
    with pytest.raises(MachineError, match="no home folder") as caught:
        files.home()
    assert "CNNREG_HOME=" in caught.value.hint


@pytest.fixture
def held_open(monkeypatch):
    """How often a rename is refused, as by Windows while a scanner has the file open."""
    refusals, replace = [0], Path.replace

    def refused(self, to):
        if refusals[0]:
            refusals[0] -= 1
            raise PermissionError(errno.EACCES, "Access is denied")
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", refused)
    monkeypatch.setattr(files, "PATIENCE", 0.2)
    return refusals


def test_windows_is_given_time_to_let_go_of_a_file(tmp_path, monkeypatch, held_open):
    monkeypatch.setattr(files, "WINDOWS", True)
    held_open[0] = 2
    files.write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"
    held_open[0] = 1_000_000  # for ever
    with pytest.raises(MachineError, match="Cannot write: Access is denied") as caught:
        files.write_text(tmp_path / "x", "newer")
    assert caught.value.exit_code == 5
    assert (tmp_path / "x").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_elsewhere_a_refusal_is_one(tmp_path, monkeypatch, held_open):
    monkeypatch.setattr(files, "WINDOWS", False)
    held_open[0] = 1
    with pytest.raises(MachineError, match="Access is denied"):
        files.write_text(tmp_path / "x", "new")
    assert list(tmp_path.iterdir()) == []


def test_writing_below_a_file_names_the_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError) as caught:
        files.write_text(tmp_path / "file" / "x", "text")
    assert caught.value.exit_code == 5
    assert str(tmp_path / "file" / "x") in str(caught.value)


def test_a_published_folder_replaces_the_older_one_whole(tmp_path):
    target = tmp_path / "export"
    for number, name in enumerate(("a", "b")):
        with files.temporary_folder(target) as folder:
            (folder / name).write_text(str(number))
            files.publish_folder(folder, target)
    assert [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), files.temporary_folder(tmp_path / "export") as folder:
        (folder / "half").write_text("")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_signal_just_when_it_is_made_leaves_nothing(tmp_path, monkeypatch):
    mkdir = Path.mkdir

    def stopped(self, **options):
        mkdir(self, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", stopped)
    with pytest.raises(KeyboardInterrupt), files.temporary_folder(tmp_path / "export"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_writer_are_swept(tmp_path):
    (tmp_path / ".cnnreg-tmp-1-x").write_text("")
    (tmp_path / ".cnnreg-tmp-2").mkdir()
    (tmp_path / "kept").write_text("")
    files.sweep_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_nobody_elses_temporaries_are_swept(tmp_path):
    (tmp_path / ".tmp-of-another-tool").mkdir()
    files.sweep_temporaries(tmp_path)
    assert (tmp_path / ".tmp-of-another-tool").exists()


@pytest.fixture
def without_exchange(monkeypatch):
    """As on Windows."""
    monkeypatch.setattr(files, "exchange", lambda one, other: False)


@pytest.mark.usefixtures("without_exchange")
def test_two_renames_replace_a_folder_where_nothing_can_be_exchanged(tmp_path):
    test_a_published_folder_replaces_the_older_one_whole(tmp_path)


@pytest.mark.skipif(files.WINDOWS, reason="Windows cannot exchange two folders")
def test_there_is_a_folder_of_that_name_at_every_moment(tmp_path, monkeypatch):
    target = tmp_path / "export"
    target.mkdir()
    rename = Path.rename
    monkeypatch.setattr(
        Path, "rename", lambda self, to: pytest.fail("gone") if self == target else rename(self, to)
    )
    with files.temporary_folder(target) as folder:
        (folder / "new").write_text("")
        files.publish_folder(folder, target)
    assert [path.name for path in tmp_path.rglob("*")] == ["export", "new"]


@pytest.mark.usefixtures("without_exchange")
@pytest.mark.parametrize(
    ("stop", "told"),
    [
        (OSError(errno.EIO, "Input/output error"), MachineError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_swap_that_fails_brings_the_older_folder_back(tmp_path, monkeypatch, stop, told):
    target = tmp_path / "export"
    target.mkdir()
    (target / "old").write_text("")
    rename = Path.rename

    def failing(self, to):
        if self.name == "new":
            raise stop
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    (tmp_path / "new").mkdir()
    with pytest.raises(told):
        files.publish_folder(tmp_path / "new", target)
    assert (target / "old").exists()


def test_a_swap_that_was_killed_is_undone(tmp_path):
    (tmp_path / ".cnnreg-tmp-old-export").mkdir()
    files.sweep_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
