"""Folders appear whole, and what a killed writer left of one is swept."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cnnreg.errors import MachineError
from cnnreg.files import WINDOWS, folders, publish_folder, sweep_temporaries, temporary_folder


def test_a_published_folder_replaces_the_older_one_whole(tmp_path):
    target = tmp_path / "export"
    for number, name in enumerate(("a", "b")):
        with temporary_folder(target) as folder:
            (folder / name).write_text(str(number))
            publish_folder(folder, target)
    assert [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


@pytest.mark.skipif(WINDOWS, reason="Windows has no such step")
@pytest.mark.parametrize("replaced", [True, False])
def test_its_names_reach_the_disk_too(tmp_path, monkeypatch, replaced):
    target = tmp_path / "export"
    if replaced:
        target.mkdir()
    synced = []
    monkeypatch.setattr(
        folders, "sync_folder", lambda of: synced.append((of, (target / "new").exists()))
    )
    with temporary_folder(target) as folder:
        (folder / "new").write_text("")
        publish_folder(folder, target)
    assert synced == [(folder, False), (tmp_path, True)]


def test_a_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), temporary_folder(tmp_path / "export") as folder:
        (folder / "half").write_text("")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_signal_just_when_it_is_made_leaves_nothing(tmp_path, monkeypatch):
    mkdir = Path.mkdir

    def stopped(self, **options):
        mkdir(self, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", stopped)
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path / "export"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_writer_are_swept(tmp_path):
    (tmp_path / ".cnnreg-tmp-1-x").write_text("")
    (tmp_path / ".cnnreg-tmp-2").mkdir()
    (tmp_path / "kept").write_text("")
    sweep_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_nobody_elses_temporaries_are_swept(tmp_path):
    (tmp_path / ".tmp-of-another-tool").mkdir()
    sweep_temporaries(tmp_path)
    assert (tmp_path / ".tmp-of-another-tool").exists()


@pytest.fixture
def without_exchange(monkeypatch):
    """As on Windows."""
    monkeypatch.setattr(folders, "exchange", lambda one, other: False)


@pytest.mark.usefixtures("without_exchange")
def test_two_renames_replace_a_folder_where_nothing_can_be_exchanged(tmp_path):
    left = tmp_path / ".cnnreg-tmp-old-export"  # Windows could not remove what somebody had open
    left.mkdir()
    (left / "leftover").write_text("")
    test_a_published_folder_replaces_the_older_one_whole(tmp_path)


@pytest.mark.skipif(WINDOWS, reason="Windows cannot exchange two folders")
def test_there_is_a_folder_of_that_name_at_every_moment(tmp_path, monkeypatch):
    target = tmp_path / "export"
    target.mkdir()
    rename = Path.rename
    monkeypatch.setattr(
        Path, "rename", lambda self, to: pytest.fail("gone") if self == target else rename(self, to)
    )
    with temporary_folder(target) as folder:
        (folder / "new").write_text("")
        publish_folder(folder, target)
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
        publish_folder(tmp_path / "new", target)
    assert (target / "old").exists()


def test_a_swap_that_was_killed_is_undone(tmp_path):
    (tmp_path / ".cnnreg-tmp-old-export").mkdir()
    sweep_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
