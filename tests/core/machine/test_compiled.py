"""Compiled models that are kept: never a reason to fail, never trusted unseen."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from threading import Barrier, Thread

import pytest

from cnnreg.files import home
from cnnreg.machine import compiled
from cnnreg.machine.compiled import SEAL, compiled_folder, keeping, shelf

BLOB = "model.blob"


class Engine:
    """Compiles by writing a blob, and takes one that is there already."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.folders: list[Path | None] = []

    def compile_in(self, folder: Path | None) -> str:
        self.folders.append(folder)
        if folder is None:
            return "compiled, not kept"
        if (folder / BLOB).exists():
            return f"loaded {(folder / BLOB).read_text()}"
        (folder / BLOB).write_text("good")
        return "compiled"

    def __call__(self, key: str = "model", reader: str = "driver 1") -> str:
        return keeping(
            shelf("engine", [reader]),
            [key],
            self.compile_in,
            lambda model: model.startswith("loaded"),
            self.notes.append,
        )


@pytest.fixture
def engine() -> Engine:
    return Engine()


def entries() -> list[Path]:
    return sorted(path.parent for path in compiled_folder().glob(f"*/*/{SEAL}"))


def age(path: Path, days: float) -> None:
    moment = path.stat().st_mtime - days * 86400
    os.utime(path, (moment, moment))


def test_half_a_character_in_a_path_does_no_harm(monkeypatch):
    """Windows takes it."""
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("utf-8", "surrogatepass"))
    assert shelf("engine", ["\ud83d"]) != shelf("engine", ["\ud83e"])


@pytest.mark.usefixtures("homeless")
def test_without_a_home_nothing_is_kept(engine):
    assert engine() == "compiled, not kept"
    assert engine.folders == [None]


def test_a_model_is_compiled_once_for_each_reader_and_key(engine):
    assert engine() == "compiled"
    assert engine() == "loaded good"
    assert engine(key="other") == "compiled"
    assert engine(reader="driver 2") == "compiled"
    assert len(entries()) == 3
    assert engine.notes == []


@pytest.mark.parametrize("content", [b"", b"goop", b"good, and more"])
def test_a_damaged_file_is_noticed_dropped_and_made_anew(engine, content):
    engine()
    (entries()[0] / BLOB).write_bytes(content)
    assert engine() == "compiled"
    assert len(engine.notes) == 1
    assert "dropped" in engine.notes[0]
    assert engine() == "loaded good"


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b'"text"', b"\xff", b'{"model.blob": 1}'])
def test_damaged_digests_are_no_better(engine, content):
    engine()
    (entries()[0] / SEAL).write_bytes(content)
    assert engine() == "compiled"
    assert engine() == "loaded good"


def test_a_file_that_is_gone_is_made_anew(engine):
    engine()
    (entries()[0] / BLOB).unlink()
    assert engine() == "compiled"


def test_what_an_engine_added_later_is_not_trusted(engine):
    engine()
    added = entries()[0] / "added.cl_cache"
    added.write_text("who knows")
    assert engine() == "loaded good"
    assert not added.exists()


@pytest.fixture
def as_on_windows(monkeypatch):
    """A file that is read-only cannot be removed there; OpenVINO makes its own so."""
    unlink = os.unlink

    def refusing(path, *, dir_fd=None):
        if not os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode & stat.S_IWUSR:
            raise PermissionError(errno.EACCES, "Access is denied")
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refusing)


@pytest.mark.usefixtures("as_on_windows")
@pytest.mark.parametrize("of_old", [True, False])
def test_read_only_files_are_dropped_too(engine, of_old):
    engine()
    (entry,) = entries()
    (entry / BLOB).chmod(0o440)
    if of_old:
        age(entry / SEAL, 2)
        engine(reader="driver 2")
        assert not entry.exists()
        return
    (entry / BLOB).rename(entry / "other.blob")  # damaged
    assert engine() == "compiled"
    assert [path.name for path in entry.iterdir() if path.suffix == ".blob"] == [BLOB]
    added = entry / "added.blob"
    added.touch(mode=0o440)
    assert engine() == "loaded good"
    assert not added.exists()


def test_what_the_engine_rejects_is_dropped_without_harm(engine):
    engine()
    accept = engine.compile_in

    def reject(folder):
        if folder is not None and (folder / BLOB).exists():
            raise RuntimeError("no blob of mine")
        return accept(folder)

    engine.compile_in = reject
    assert engine() == "compiled"
    assert "dropped" in engine.notes[0]


def test_somebody_at_work_is_not_waited_for(engine):
    engine()
    (entries()[0] / SEAL).unlink()
    assert engine() == "compiled, not kept"
    assert engine.notes == []


def test_what_a_killed_process_left_is_taken_over(engine):
    engine()
    entry = entries()[0]
    (entry / SEAL).unlink()
    (entry / BLOB).write_text("half")
    age(entry, days=1)
    assert engine() == "compiled"
    assert engine() == "loaded good"


def test_a_home_that_cannot_be_written_costs_a_note(engine):
    home().write_text("in the way")
    assert engine() == "compiled, not kept"
    assert len(engine.notes) == 1
    assert "not kept" in engine.notes[0]


def test_a_disk_without_room_costs_a_note(engine, monkeypatch):
    monkeypatch.setattr(compiled, "ROOM", 1 << 80)
    assert engine() == "compiled, not kept"
    assert "Disk full" in engine.notes[0]


def test_an_engine_that_fails_over_its_cache_compiles_without(engine):
    accept = engine.compile_in

    def fail(folder):
        if folder is not None:
            raise RuntimeError("cannot write\na blob")
        return accept(folder)

    engine.compile_in = fail
    assert engine() == "compiled, not kept"
    assert not list(compiled_folder().glob("*/*"))
    assert len(engine.notes) == 1
    assert engine.notes[0].endswith(": cannot write a blob")


def test_a_model_whose_digests_cannot_be_written_is_not_compiled_twice(engine, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiled, "write_json", fail)
    assert engine() == "compiled"
    assert len(engine.folders) == 1
    assert engine.notes[0].endswith(": No space left on device")
    assert not list(compiled_folder().glob("*/*"))


def test_an_engine_that_fails_anyhow_says_why(engine):
    def fail(folder):
        raise RuntimeError("no such operator")

    engine.compile_in = fail
    with pytest.raises(RuntimeError, match="no such operator"):
        engine()
    assert engine.notes == []


def test_an_interrupted_compilation_leaves_nothing(engine):
    def interrupt(folder):
        raise KeyboardInterrupt

    engine.compile_in = interrupt
    with pytest.raises(KeyboardInterrupt):
        engine()
    assert not list(compiled_folder().glob("*/*"))


def test_old_entries_go_and_those_of_other_drivers_sooner(engine):
    for key in ("fresh", "stale"):
        engine(key)
        engine(key, reader="old driver")
    own, other = shelf("engine", ["driver 1"]), shelf("engine", ["old driver"])
    for folder, days in ((own, 40), (other, 2)):
        age(next(iter(folder.iterdir())) / SEAL, days)
    engine("new")
    assert (len(list(own.iterdir())), len(list(other.iterdir()))) == (2, 1)
    age(next(other.iterdir()) / SEAL, 2)
    engine("newer")
    assert not other.exists()


def test_use_keeps_an_entry_young(engine):
    engine()
    age(entries()[0] / SEAL, 40)
    engine()
    engine("another")
    assert engine() == "loaded good"


def test_many_at_once_all_get_their_model(engine):
    start, results = Barrier(8), []

    def work():
        start.wait()
        results.append(engine())

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert results.count("compiled") == 1
    assert set(results) <= {"compiled", "compiled, not kept", "loaded good"}
    assert engine.notes == []
    assert engine() == "loaded good"
