"""Files become pixels: when they are asked for, and beside their labels."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnnreg.data import Split, decode, open_dataset
from cnnreg.data.listing import places
from cnnreg.errors import DataError, MachineError
from cnnreg.specs import Samples
from stub_data import STUB, files, samples


def test_nothing_is_decoded_before_it_is_asked_for(offer, tmp_path):
    seen = []
    data = open_dataset(
        offer(files(tmp_path / "f", 50)),
        STUB,
        progress=lambda split, done, total: seen.append((split, done, total)),
    )
    assert seen == []
    assert len(data.test) == 20
    assert seen == [("test", 20, 20)]
    assert len(data.train.take(5)) == 5
    assert seen == [("test", 20, 20), ("train", 5, 5)]
    assert data.train.pixels is data.train.pixels
    assert seen[2:] == [("train", 64, 72), ("train", 72, 72)]


def test_decoded_pixels_stand_beside_their_labels(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    data = open_dataset(offer(source), STUB)
    by_content = {
        np.asarray(Image.open(path)).tobytes(): label
        for path, label in zip(source.files, source.labels, strict=True)
    }
    for split in (data.train, data.val, data.test):
        for pixels, label in zip(split.pixels, split.labels, strict=True):
            assert by_content[pixels.tobytes()] == label


def test_a_part_is_random_repeatable_and_small(offer):
    train = open_dataset(offer(samples(per_class=100)), STUB).train
    part = train.take(30, seed=1)
    assert len(part) == len(part.pixels) == 30
    assert len(np.unique(part.labels)) == 3
    assert np.array_equal(part.pixels, train.take(30, seed=1).pixels)
    assert not np.array_equal(part.pixels, train.take(30, seed=2).pixels)
    assert len(train.take(10_000)) == len(train)


def test_one_bad_file_in_a_hundred_is_skipped_and_named(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    source.files[3].write_bytes(b"<html>")
    others = {"val": samples(classes=2), "test": samples(classes=2)}
    train = open_dataset(offer(source, **others), STUB).train
    assert len(train) == len(train.pixels) == 199
    assert [error.where for error in train.skipped] == [str(source.files[3])]
    assert train.labels.sum() == 100
    assert not np.array_equal(train.pixels[2], train.pixels[3])


def test_three_bad_files_are_told_and_the_others_counted(offer, tmp_path):
    source = files(tmp_path / "f", 250)
    for path in source.files[3:8]:
        path.write_bytes(b"<html>")
    data = open_dataset(offer(source, val=samples(classes=2), test=samples(classes=2)), STUB)
    told = list(data.remarks())
    assert told[0].startswith(f"skipped an unreadable train image: {source.files[3]}: Not an image")
    assert (len(told), told[3]) == (4, "and 2 more")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_one_bad_file_of_a_hundred_may_be_in_any_split(offer, tmp_path, split):
    def with_one_bad(folder, per_class):
        source = files(tmp_path / folder, per_class)
        listing = open_dataset(offer(source), STUB).listing()
        bad = next(tmp_path / folder / name for place, _, name in listing if place == split)
        bad.write_bytes(b"<html>")
        return str(bad), getattr(open_dataset(offer(source), STUB), split)

    bad, found = with_one_bad("enough", 50)
    assert [error.where for error in found.skipped] == [bad]
    _, found = with_one_bad("few", 49)
    with pytest.raises(DataError, match="0 may be skipped"):
        len(found)


def test_a_split_that_fills_one_subfolder_is_found_again(offer, tmp_path):
    """Its files are named as they are in the whole: else they would count as new."""
    source = files(tmp_path / "main", 30)
    (tmp_path / "extra").mkdir()
    moved = source.files[7].rename(tmp_path / "extra" / "007.png")
    registry = offer(replace(source, files=(*source.files[:7], moved, *source.files[8:])))
    data = open_dataset(registry, STUB)
    listed = list(data.listing())
    assert {name.split("/")[0] for _, _, name in listed} == {"main", "extra"}
    again = open_dataset(registry, STUB, before=places(listed))
    assert list(again.listing()) == listed
    assert again.fingerprint == data.fingerprint


def test_each_file_is_asked_for_its_size_once(offer, tmp_path, monkeypatch):
    data = open_dataset(offer(files(tmp_path / "f", 10)), STUB)
    asked, stat = [], Path.stat
    monkeypatch.setattr(
        Path, "stat", lambda path, **how: (asked.append(path), stat(path, **how))[1]
    )
    assert data.fingerprint
    assert list(data.listing()) == list(data.listing())
    data.val.identify(lambda update: None)
    assert len(asked) == len(set(asked)) == 20


def test_half_a_character_in_a_name_identifies_like_others(monkeypatch):
    """Windows takes it."""
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("utf-8", "surrogatepass"))
    found = Samples(labels=np.zeros(2, np.int64), files=(Path("x/é.png"), Path("x/\ud83d.png")))
    seen = []
    Split(found, None, "x").identify(seen.append)
    assert seen[1:] == [b"\xc3\xa9.png 0\n", b"\xed\xa0\xbd.png 0\n"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_broken_link_is_a_bad_file_like_others(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    source.files[3].unlink()
    source.files[3].symlink_to("nowhere")
    others = {"val": samples(classes=2), "test": samples(classes=2)}
    data = open_dataset(offer(source, **others), STUB)
    assert [error.where for error in data.train.skipped] == [str(source.files[3])]
    before = data.fingerprint
    source.files[3].with_name("nowhere").write_bytes(source.files[4].read_bytes())
    assert open_dataset(offer(source, **others), STUB).fingerprint != before


def test_more_bad_files_are_refused(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    for path in source.files[3:6]:
        path.write_bytes(b"")
    registry = offer(source, val=samples(classes=2), test=samples(classes=2))
    with pytest.raises(DataError, match="3 of 200, 2 may be skipped") as caught:
        len(open_dataset(registry, STUB).train)
    assert all(str(path) in caught.value.hint for path in source.files[3:6])


def test_all_bad_files_are_listed_in_a_file(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    bad = source.files[3:200:20]
    for path in bad:
        path.write_bytes(b"")
    registry = offer(source, val=samples(classes=2), test=samples(classes=2))
    config = replace(STUB, folder=tmp_path / "f")
    with pytest.raises(DataError, match="10 of 200, 2 may be skipped") as caught:
        len(open_dataset(registry, config).train)
    listed = tmp_path / "f" / ".cnnreg-cache" / "stub" / "unreadable-train.txt"
    assert f"all listed in {listed}: {bad[0]}: Not an image" in caught.value.hint
    lines = listed.read_text(encoding="utf-8").splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(path) for path in bad]


def test_a_class_of_which_nothing_can_be_read_is_refused(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    source.files[3].write_bytes(b"")
    rare = Samples(labels=(np.arange(200) == 3).astype(np.int64), files=source.files)
    others = {"val": samples(classes=2), "test": samples(classes=2)}
    train = open_dataset(offer(rare, **others), STUB).train
    with pytest.raises(DataError, match="None of the train images of class 'b'") as caught:
        len(train)
    assert str(source.files[3]) in caught.value.hint
    part = open_dataset(offer(rare, **others), STUB).train.take(199)
    assert set(part.labels) == {0}


def test_only_bad_files(offer, tmp_path):
    source = files(tmp_path / "f")
    for path in source.files:
        path.write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        open_dataset(offer(source), STUB)


def test_an_error_in_the_progress_callback_ends_the_decoding(offer, tmp_path):
    def stop(split: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    data = open_dataset(offer(files(tmp_path / "f", 100)), STUB, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        len(data.train)


@pytest.mark.parametrize(("free", "threads"), [(0, 1), (1 << 30, 2), (1 << 40, 6)])
def test_large_photographs_at_once_fit_in_memory(monkeypatch, free, threads):
    monkeypatch.setattr(decode, "usable_processors", lambda: 6)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free))
    assert decode._workers() == threads


def test_images_that_do_not_fit_in_memory(offer):
    data = open_dataset(offer(samples()), replace(STUB, image_size=10**6))
    with pytest.raises(MachineError, match="GB of memory"):
        len(data.train)


def test_no_more_threads_than_a_container_may_run(offer, tmp_path, monkeypatch):
    asked, pool = [], decode.ThreadPoolExecutor
    monkeypatch.setattr(decode, "usable_processors", lambda: 3)
    monkeypatch.setattr(
        decode, "ThreadPoolExecutor", lambda max_workers: asked.append(max_workers) or pool(1)
    )
    assert len(open_dataset(offer(files(tmp_path / "f", 50)), STUB).test) == 20
    assert asked == [3]
