"""Writing files: whole or not at all."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path, PureWindowsPath

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


class Clock:
    """Stands still but for those who sleep; until `held` no rename is let through."""

    now = held = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def refuse(self) -> None:
        if self.now < self.held:
            raise PermissionError(errno.EACCES, "Access is denied")


@pytest.fixture
def clock(monkeypatch):
    """Of a system that refuses renames while somebody has the file open."""
    clock, replace = Clock(), Path.replace
    monkeypatch.setattr(files, "monotonic", lambda: clock.now)
    monkeypatch.setattr(files, "sleep", clock.sleep)
    monkeypatch.setattr(Path, "replace", lambda self, to: (clock.refuse(), replace(self, to))[1])
    return clock


def test_windows_is_given_time_to_let_go_of_a_file(tmp_path, monkeypatch, clock):
    monkeypatch.setattr(files, "WINDOWS", True)
    clock.held = 30.0  # a backup, say
    files.write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"
    clock.held = float("inf")
    with pytest.raises(MachineError, match="Cannot write: Access is denied") as caught:
        files.write_text(tmp_path / "x", "newer")
    assert caught.value.exit_code == 5
    assert caught.value.hint == "Is it open in another program?"
    assert (tmp_path / "x").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_elsewhere_a_refusal_is_one(tmp_path, monkeypatch, clock):
    monkeypatch.setattr(files, "WINDOWS", False)
    clock.held = 0.01
    with pytest.raises(MachineError, match="Access is denied") as caught:
        files.write_text(tmp_path / "x", "new")
    assert (clock.now, caught.value.hint) == (0.0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x", "x" * 150])
def test_a_folder_that_is_gone_and_a_path_that_is_too_long(tmp_path, monkeypatch, name):
    """Windows has one number for both."""
    path = tmp_path / ("y" * 60) / name
    for windows, told in ((False, "folder is gone"), (True, "too long" if name[1:] else "is gone")):
        monkeypatch.setattr(files, "WINDOWS", windows)
        with pytest.raises(MachineError, match=told) as caught:
            files.write_text(path, "")
        assert ("--output" in caught.value.hint) == ("too long" in told)


@pytest.mark.parametrize("number", [39, 112, 1295])
def test_windows_has_numbers_of_its_own_for_a_full_disk(tmp_path, number):
    error = OSError(errno.EINVAL, "The handle")
    error.winerror = number
    for context in (files.disk_errors, files.full_disk):
        with pytest.raises(MachineError, match="Disk full"), context(tmp_path / "x"):
            raise error


def test_a_drive_that_is_gone_is_said_to_be(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda self: False)
    with pytest.raises(MachineError, match="folder is gone"):
        files.check_room(Path("/gone/runs/x"), 1)


@pytest.mark.parametrize("name", ["R&D", "a (1)", "it's", "$x;y", "~x", "a,b"])
def test_what_a_shell_would_read_otherwise_is_quoted(monkeypatch, name):
    monkeypatch.setattr(files, "WINDOWS", False)
    assert shlex.split(files.typed(Path(name))) == [name]
    monkeypatch.setattr(files, "WINDOWS", True)
    assert files.typed(Path(name)) == f'"{name}"'


def test_what_no_shell_minds_is_not_quoted(monkeypatch):
    monkeypatch.setattr(files, "WINDOWS", True)
    path = PureWindowsPath(r"C:\Users\Jörg\runs\2026-01.v2_a+b")
    assert files.typed(path) == str(path)


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
