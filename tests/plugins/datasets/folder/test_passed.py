"""What a folder of images says of the files that are not read."""

import os

import pytest

from cnnreg.specs import DataRequest
from cnnreg_plugins.datasets.folder import open_folder


@pytest.fixture
def notes(tmp_path):
    def put(*names):
        for name in ("a/1.png", "b/1.png", *names):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return open_folder(DataRequest(folder=tmp_path)).notes

    return put


def test_there_is_nothing_to_say_of_what_lies_beside_pictures(notes):
    sidecars = ("a/1.txt", "a/1.XMP", "a/.hidden.heic", "a/Thumbs.db", "a/desktop.ini")
    assert notes(*sidecars, "readme.md", "all.zip", ".DS_Store") == ()


def test_pictures_of_other_kinds_and_archives(notes):
    told = notes("a/1.heic", "a/deep/2.HEIC", "b/3.heic", "b/more.zip", "b/bare")
    assert told == (
        "not used: 3 .heic in a and b (save as JPEG), 1 .zip in b (unpack), 1 without an ending "
        "in b",
    )


def test_many_kinds_and_classes_are_counted(notes):
    told = notes(*(f"{name}/1.heic" for name in "abcde"), "c/1.png", "d/1.png", "e/1.png")
    assert told == ("not used: 5 .heic in a, b, c and 2 more (save as JPEG)",)
    (told,) = notes(*(f"a/1.{ending}" for ending in "qrstuvwx"))
    assert told.endswith("1 .u in a, 3 other files")


def test_pictures_beside_the_class_folders(notes):
    assert notes("1.png", "2.HEIC") == ("not used: 2 pictures beside the class folders",)


def test_what_lies_beside_the_splits(notes):
    told = notes("train/x/1.png", "train/y/1.png", "train/3.png", "docs/notes.txt")
    assert told == (
        "not used: 1 picture beside the class folders, the folders a and b beside 'train'",
    )


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_linked_folders_in_a_class(notes, tmp_path):
    notes()
    (tmp_path / "a/more").symlink_to(tmp_path / "b")
    assert notes() == ("not used: 1 linked folder in a",)
