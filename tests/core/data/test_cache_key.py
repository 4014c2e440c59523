"""The key of cached pixels: the same for the same images, another for others."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnreg.data import cache_key
from cnnreg.specs import Samples
from helpers import photos


def key_of(*files: Path) -> str:
    samples = Samples(labels=np.zeros(len(files), np.int64), files=files)
    return cache_key.cache_key(samples, (3, 8, 8), "squash")


def test_files_on_two_drives_have_a_key():
    assert key_of(Path("/one/a.png"), Path("another/a.png")) != key_of(Path("/one/a.png"))


@pytest.mark.parametrize(("name", "wide"), [("a.png", False), ("a.jpg", False), ("a.TIF", True)])
def test_only_pictures_of_more_than_eight_bits_are_decoded_anew_for_their_format(
    monkeypatch, name, wide
):
    before = key_of(Path("one", name))
    monkeypatch.setattr(cache_key, "WIDE_FORMAT", cache_key.WIDE_FORMAT + 1)
    assert (key_of(Path("one", name)) != before) is wide


def test_pictures_of_one_size_and_time_that_change_places_are_others(tmp_path):
    """Bitmaps out of an archive, say, whose folders were mistaken for each other."""
    files = [tmp_path / "cat" / "0.bmp", tmp_path / "dog" / "0.bmp"]
    for path, colour in zip(files, ("red", "blue"), strict=True):
        path.parent.mkdir()
        Image.new("RGB", (8, 8), colour).save(path)
        os.utime(path, ns=(1, 1))
    before = key_of(*files)
    assert key_of(*files) == before
    (tmp_path / "cat").rename(tmp_path / "aside")
    (tmp_path / "dog").rename(tmp_path / "cat")
    (tmp_path / "aside").rename(tmp_path / "dog")
    assert key_of(*files) != before


def test_the_same_images_elsewhere_have_the_same_key(tmp_path):
    def key(root):
        photos(root, 10)
        files = sorted(root.rglob("*.png"))
        for path in files:
            os.utime(path, ns=(1, 1))
        return key_of(*files)

    assert key(tmp_path / "one") == key(tmp_path / "two" / "ü")


def test_half_a_character_in_a_name_does_no_harm(tmp_path, monkeypatch):
    """Windows takes it."""

    def nowhere(self):
        raise FileNotFoundError(errno.ENOENT, "No such file")

    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("utf-8", "surrogatepass"))
    monkeypatch.setattr(Path, "stat", nowhere)
    assert key_of(tmp_path / "\ud83d.png") != key_of(tmp_path / "\ud83e.png")


def test_where_very_many_are_alike_none_is_read(tmp_path, monkeypatch):
    files = [tmp_path / f"{number}.bmp" for number in range(3)]
    for path in files:
        Image.new("RGB", (8, 8)).save(path)
        os.utime(path, ns=(1, 1))
    monkeypatch.setattr(cache_key, "MOST", 2)
    monkeypatch.setattr(cache_key, "middle_of", lambda path: pytest.fail("read"))
    assert key_of(*files)
