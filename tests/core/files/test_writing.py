"""Writing files: whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from cnnreg.errors import MachineError, ModelFileError
from cnnreg.files import check_schema, write_bytes, write_json, write_text, writing
from helpers import on_windows


def test_a_file_of_a_later_version_asks_for_it(tmp_path):
    check_schema({"schema": 1}, 1, tmp_path)
    with pytest.raises(ModelFileError, match=r"format 2, this version reads 1.*Update cnn-reg"):
        check_schema({"schema": 2}, 1, tmp_path)


def test_the_old_file_survives_a_failing_write(tmp_path, monkeypatch):
    target = tmp_path / "state.json"
    write_text(target, "old")

    def full_disk(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(MachineError, match="Disk full: needs 0.0 MB"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_data_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (events.append("rename"), replace(self, to))[1]
    )
    write_bytes(tmp_path / "x", b"content")
    assert events[:2] == ["fsync", "rename"]


def test_at_no_moment_is_there_neither_the_file_nor_the_one_before(tmp_path, monkeypatch):
    new, before = tmp_path / "last", tmp_path / "previous"
    write_bytes(new, b"1")
    replace = Path.replace
    there = []
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (replace(self, to), there.append(new.exists()))[0]
    )
    write_bytes(new, b"2", previous=before)
    assert (new.read_bytes(), before.read_bytes()) == (b"2", b"1")
    assert len(there) == 2
    assert all(there)
    assert sorted(tmp_path.iterdir()) == [new, before]


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
    monkeypatch.setattr(writing, "monotonic", lambda: clock.now)
    monkeypatch.setattr(writing, "sleep", clock.sleep)
    monkeypatch.setattr(Path, "replace", lambda self, to: (clock.refuse(), replace(self, to))[1])
    return clock


@pytest.mark.parametrize(("number", "refused"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_may_know_no_durable_names(tmp_path, monkeypatch, number, refused):
    """As one that a virtual machine shares with its host; a disk that fails is another thing."""
    sync = os.fsync

    def of_files_alone(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, "no")
        sync(handle)

    monkeypatch.setattr(os, "fsync", of_files_alone)
    if refused:
        with pytest.raises(MachineError):
            write_json(tmp_path / "x.json", {})
    else:
        write_json(tmp_path / "x.json", {})
    assert (tmp_path / "x.json").exists()


def test_windows_is_given_time_to_let_go_of_a_file(tmp_path, monkeypatch, clock):
    on_windows(monkeypatch)
    clock.held = 30.0  # a backup, say
    write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"
    clock.held = float("inf")
    with pytest.raises(MachineError, match="Cannot write: Access is denied") as caught:
        write_text(tmp_path / "x", "newer")
    assert caught.value.exit_code == 5
    assert caught.value.hint == "Is it open in another program, or may you not write there?"
    assert (tmp_path / "x").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_elsewhere_a_refusal_is_one(tmp_path, monkeypatch, clock):
    on_windows(monkeypatch, False)
    clock.held = 0.01
    with pytest.raises(MachineError, match="Access is denied") as caught:
        write_text(tmp_path / "x", "new")
    assert (clock.now, caught.value.hint) == (0.0, "")
    assert list(tmp_path.iterdir()) == []


def test_writing_below_a_file_names_the_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError) as caught:
        write_text(tmp_path / "file" / "x", "text")
    assert caught.value.exit_code == 5
    assert str(tmp_path / "file" / "x") in str(caught.value)
