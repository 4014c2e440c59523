"""Pixels in a file instead of in memory: the same ones, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnreg.data import DataConfig, cache, decode, open_dataset
from cnnreg.errors import DataError, MachineError
from cnnreg.registry import load_registry

SIZE = 20


@pytest.fixture
def photos(tmp_path):
    """120 pictures of two classes, in a folder."""
    return make_photos(tmp_path / "photos ü")


def make_photos(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(60):
            image = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / label / f"{number:02}.png")
    return folder


@pytest.fixture
def large(monkeypatch):
    """Any split is too large for memory."""
    monkeypatch.setattr(cache, "LARGE", 0)


def opened(photos: Path, **settings):
    config = DataConfig(name="folder", folder=photos, **settings)
    return open_dataset(load_registry(["folder"]), config)


def entry(photos: Path, split: str = "train", size: int = SIZE, resize: str = "squash") -> Path:
    """The only one of that split and size."""
    name = f"{split}-3x{size}x{size}-{resize}"
    (found,) = (photos / ".cnnreg-cache" / "folder").glob(f"{name}-*")
    return found


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_small_split_stays_in_memory(photos):
    assert not isinstance(opened(photos).train.pixels, np.memmap)
    assert not (photos / ".cnnreg-cache").exists()


def test_from_the_file_come_the_same_pixels_and_labels(photos, large, monkeypatch):
    (photos / "cat" / "07.png").write_bytes(b"<html>")
    (photos / "dog" / "09.png").write_bytes(b"")
    monkeypatch.setattr("cnnreg.data.decode.BAD_SHARE", 0.1)
    monkeypatch.setattr(cache, "LARGE", 1 << 30)
    memory = opened(photos)
    assert len(memory.train) + len(memory.val) + len(memory.test) == 118
    monkeypatch.setattr(cache, "LARGE", 0)
    made, again = opened(photos), opened(photos)
    assert made.fingerprint == memory.fingerprint
    total = 0
    for split in ("train", "val", "test"):
        expected = getattr(memory, split)
        for found in (getattr(made, split), getattr(again, split)):
            assert isinstance(found.pixels, np.memmap)
            assert np.array_equal(found.pixels, expected.pixels)
            assert np.array_equal(found.labels, expected.labels)
            assert [e.where for e in found.skipped] == [e.where for e in expected.skipped]
            assert str(entry(photos, split)) in found.note
        total += len(expected.skipped)
    assert total == 2
    assert contents(entry(photos)) == {"pixels.bin", "index.json"}


def test_a_second_time_nothing_is_decoded(photos, large, monkeypatch):
    len(opened(photos).train)
    monkeypatch.setattr("cnnreg.data.decode.read_image", lambda *_: pytest.fail("decoded again"))
    assert len(opened(photos).train.pixels) == len(opened(photos).train.labels)


def test_an_image_that_could_not_be_read_for_a_while_comes_back(photos, large, monkeypatch):
    path = next(photos / name for split, _, name in opened(photos).listing() if split == "train")
    read = decode.read_image
    reads: list[Path] = []

    def failing(one: Path, channels: int) -> Image.Image:
        reads.append(one)
        if one == path:
            raise DataError("Cannot read: Input/output error.", where=one)
        return read(one, channels)

    with monkeypatch.context() as passing:
        passing.setattr(decode, "read_image", failing)
        assert [error.where for error in opened(photos).train.skipped] == [str(path)]
        reads.clear()
        assert len(opened(photos).train.skipped) == 1
        assert reads == [path]
    assert not opened(photos).train.skipped
    monkeypatch.setattr(decode, "read_image", lambda *_: pytest.fail("decoded again"))
    assert path in opened(photos).train.files


def test_a_file_larger_than_memory_can_be_mapped(photos, large):
    """As long as nobody may write to the mapped memory."""
    assert not opened(photos).train.pixels.flags.writeable


def touched(photos):
    path = photos / "cat" / "00.png"
    os.utime(path, ns=(1, 1))


def replaced(photos):
    Image.new("RGB", (SIZE, SIZE), "red").save(photos / "dog" / "00.png")


@pytest.mark.parametrize("change", [touched, replaced])
def test_other_files_get_an_entry_of_their_own(photos, large, change):
    """The older one may be in use, on another machine even."""
    data = opened(photos)
    assert len(data.train) + len(data.val) + len(data.test) == 120
    place = entry(photos).parent
    before = {name: (place / name / "index.json").read_text() for name in contents(place)}
    change(photos)
    data = opened(photos)
    for split in ("train", "val", "test"):
        assert len(getattr(data, split).pixels)
    assert len(contents(place) - before.keys()) == 1
    assert before == {name: (place / name / "index.json").read_text() for name in before}


def test_splits_cut_otherwise_leave_each_other_alone(photos, large, monkeypatch):
    len(opened(photos).train)
    len(opened(photos, val_fraction=0.3).train)
    monkeypatch.setattr(decode, "read_image", lambda *_: pytest.fail("decoded again"))
    assert len(opened(photos).train) > len(opened(photos, val_fraction=0.3).train)


def grown_old(folder: Path, seconds: float) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - seconds))


def test_an_entry_that_nobody_opens_for_long_goes_when_another_is_made(photos, large):
    len(opened(photos).train)
    len(opened(photos, image_size=8).train)
    used, unused = entry(photos), entry(photos, size=8)
    for folder in (used, unused):
        grown_old(folder, cache.UNUSED + 60)
    len(opened(photos).train)  # which uses it
    len(opened(photos, image_size=12).train)
    assert contents(used.parent) == {used.name, entry(photos, size=12).name}


def test_where_room_is_lacking_the_oldest_entries_make_it(photos, large, monkeypatch):
    for size in (8, 9, 10):
        len(opened(photos, image_size=size).train)
    first, second, third = (entry(photos, size=size) for size in (8, 9, 10))
    grown_old(first, 2 * cache.SPARED)
    grown_old(second, 3 * cache.SPARED)

    def check_room(folder, needed):
        if second.exists():
            raise MachineError("Disk full")

    monkeypatch.setattr(cache, "check_room", check_room)
    assert isinstance(opened(photos, image_size=11).train.pixels, np.memmap)
    assert contents(first.parent) == {path.name for path in (first, third)} | {
        entry(photos, size=11).name
    }


def test_what_may_still_be_written_is_let_be(photos, large):
    """By whatever machine or container: its process cannot be looked for."""
    place = photos / ".cnnreg-cache" / "folder"
    alive, dead = place / ".cnnreg-tmp-alive", place / ".cnnreg-tmp-old-dead"
    for folder in (alive, dead):
        folder.mkdir(parents=True)
        (folder / "pixels.bin").write_bytes(b"half")
    for path in (dead, dead / "pixels.bin", alive):  # which is written to, not made, just now
        os.utime(path, (0, 0))
    len(opened(photos).train)
    assert contents(place) == {alive.name, entry(photos).name}


def test_another_size_and_resize_have_files_of_their_own(photos, large, monkeypatch):
    """On Windows none can be replaced while a training has it mapped."""
    asked = ({}, {"image_size": 8}, {"image_size": 8, "resize": "crop"})
    first = [opened(photos, **settings).train.pixels for settings in asked]
    assert [pixels.shape[1] for pixels in first] == [SIZE, 8, 8]
    entries = (entry(photos), entry(photos, size=8), entry(photos, size=8, resize="crop"))
    assert contents(entry(photos).parent) == {path.name for path in entries}
    monkeypatch.setattr(decode, "read_image", lambda *_: pytest.fail("decoded again"))
    for settings, pixels in zip(asked, first, strict=True):
        assert np.array_equal(opened(photos, **settings).train.pixels, pixels)


def test_what_another_process_made_meanwhile_is_left_alone(tmp_path, monkeypatch):
    """It may have it open already, and Windows would wait for that in vain."""
    place, images = cache.Cache((tmp_path,)), np.ones((2, 4, 4, 3), np.uint8)

    def fill(store):
        store(0, images)
        return {}

    def late(store):
        place.make("train", "key", images.shape, fill)
        monkeypatch.setattr(cache, "publish_folder", lambda *_: pytest.fail("replaced"))
        return fill(store)

    assert np.array_equal(place.make("train", "key", images.shape, late).pixels, images)
    assert contents(tmp_path) == {"train-key"}


def test_half_a_character_in_the_folders_name_does_no_harm(tmp_path, monkeypatch):
    """Windows takes it."""
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("utf-8", "surrogatepass"))
    assert cache.cache_beside(tmp_path / "\ud83d", "folder")


def test_a_plugins_data_set_lies_in_a_folder_that_windows_can_make(tmp_path):
    beside, _ = cache.cache_beside(tmp_path, "plugin:digits").folders
    assert beside == tmp_path / ".cnnreg-cache" / "plugin.digits"


@pytest.mark.parametrize("damage", ["cut", "no index", "nonsense", "other rows", "empty"])
def test_an_entry_that_is_not_whole_is_made_again(photos, large, damage):
    expected = opened(photos).train.pixels.copy()
    pixels, index = entry(photos) / "pixels.bin", entry(photos) / "index.json"
    if damage == "cut":
        os.truncate(pixels, 100)
    elif damage == "no index":
        index.unlink()
    elif damage == "nonsense":
        index.write_text("{")
    elif damage == "empty":
        pixels.unlink()
    else:
        data = json.loads(index.read_text())
        index.write_text(json.dumps({**data, "skipped": [[10**6, "x", "y"]]}))
    found = opened(photos).train
    assert np.array_equal(found.pixels, expected)
    assert len(found.pixels) == len(found.labels)


def test_the_folder_reader_sees_no_class_in_it(photos, large):
    len(opened(photos).train)
    assert opened(photos).classes == ("cat", "dog")


def test_a_data_folder_that_cannot_be_written_uses_the_home(photos, large, monkeypatch, tmp_path):
    mkdir = Path.mkdir

    def read_only(self, *arguments, **options):
        if photos in self.parents:
            raise OSError(errno.EROFS, "Read-only file system")
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", read_only)
    found = opened(photos).train
    assert isinstance(found.pixels, np.memmap)
    assert str(tmp_path / "cnnreg-home" / "cache") in found.note


@pytest.mark.usefixtures("homeless")
def test_without_a_home_there_is_the_place_beside_the_data_alone(tmp_path):
    (place,) = cache.cache_beside(tmp_path, "digits").folders
    assert place.parent.parent == tmp_path
    assert cache.cache_beside(tmp_path / "none", "digits") is None


def test_without_room_on_the_disk_memory_will_do(photos, large, monkeypatch):
    monkeypatch.setattr(
        "shutil.disk_usage", lambda path: os.times_result((0, 0, 0, 0, 0)) and Usage
    )
    found = opened(photos).train
    assert not isinstance(found.pixels, np.memmap)
    assert "Disk full: needs 0.1 MB, 0.0 MB free" in found.note
    assert "into memory" in found.note


class Usage:
    free = 10


def test_with_room_nowhere_both_needs_are_named(photos, large, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
    with pytest.raises(MachineError, match="GB of memory.*Disk full: needs") as caught:
        len(opened(photos).train)
    assert caught.value.exit_code == 5


class Memory:
    available = 100


def test_a_disk_that_fills_up_midway_leaves_nothing(photos, large, monkeypatch):
    written = []

    def full(first, images):
        written.append(first)
        raise OSError(errno.ENOSPC, "No space left on device")

    original = cache._write
    monkeypatch.setattr(
        cache, "_write", lambda path, shape, fill: original(path, shape, lambda store: fill(full))
    )
    found = opened(photos).train
    assert not isinstance(found.pixels, np.memmap)
    assert written
    assert "Disk full" in found.note
    assert contents(photos / ".cnnreg-cache" / "folder") == set()


def test_too_many_bad_files_are_data_not_disk(photos, large):
    for number in range(60):
        (photos / "cat" / f"{number:02}.png").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read"):
        len(opened(photos).train)
    assert contents(photos / ".cnnreg-cache" / "folder") == {"unreadable-train.txt"}


KILLED = """
import os, sys
from pathlib import Path
from cnnreg.data import DataConfig, cache, decode, open_dataset
from cnnreg.registry import load_registry
cache.LARGE = 0
decode.BLOCK = 16
rename = Path.rename
def dying(self, to):
    os._exit(9)
Path.rename = dying if sys.argv[2] == "rename" else rename
def progress(split, done, total):
    if sys.argv[2] == "decoding" and done > 32:
        os._exit(9)
config = DataConfig(name="folder", folder=Path(sys.argv[1]))
open_dataset(load_registry(["folder"]), config, progress=progress).train.pixels
"""


@pytest.mark.parametrize("moment", ["decoding", "rename"])
def test_a_kill_while_writing_leaves_nothing_half(photos, large, moment):
    command = [sys.executable, "-c", KILLED, str(photos), moment]
    assert subprocess.run(command, check=False).returncode == 9
    place = photos / ".cnnreg-cache" / "folder"
    (left,) = place.iterdir()
    assert "train" not in left.name
    assert len(opened(photos).train.pixels)
    made = entry(photos).name
    assert contents(place) == {made, left.name}  # its writer may be at work, far away
    grown_old(left, 3700)
    assert len(opened(photos).val.pixels)
    assert contents(place) == {made, entry(photos, "val").name}


AT_ONCE = """
import sys
from pathlib import Path
import numpy as np
from cnnreg.data import DataConfig, cache, open_dataset
from cnnreg.registry import load_registry
cache.LARGE = 0
registry, config = load_registry(["folder"]), DataConfig(name="folder", folder=Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(open_dataset(registry, config).train.pixels.sum(dtype=np.int64))
"""


def test_two_processes_that_make_it_at_once_are_harmless(photos, large):
    command = [sys.executable, "-c", AT_ONCE, str(photos)]
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    sums = {int(worker.communicate()[0]) for worker in workers}
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sums == {int(opened(photos).train.pixels.sum(dtype=np.int64))}
    assert contents(entry(photos).parent) == {entry(photos).name}


def test_the_environment_says_where_or_that_it_is_off(photos, large, monkeypatch, tmp_path):
    monkeypatch.setenv("CNNREG_CACHE", str(tmp_path / "fast"))
    assert str(tmp_path / "fast") in opened(photos).train.note
    monkeypatch.setenv("HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "mine"))
    monkeypatch.setenv("CNNREG_CACHE", "~/fast")
    assert str(tmp_path / "mine" / "fast") in opened(photos).train.note
    monkeypatch.setenv("CNNREG_CACHE", "OFF")
    assert not isinstance(opened(photos).train.pixels, np.memmap)
    assert not (photos / ".cnnreg-cache").exists()


def test_a_part_of_a_split_leaves_the_entry_alone(photos, large):
    data = opened(photos)
    assert len(data.train.pixels) == 88
    assert not isinstance(data.train.take(10).pixels, np.memmap)
    assert np.memmap is type(opened(photos).train.pixels)
