import errno
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from cnnreg.data import data_config, open_dataset
from cnnreg.errors import DataError, UsageError
from cnnreg.specs import DataRequest, SourceData
from cnnreg_plugins.datasets.folder import open_folder


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def opened(folder: Path) -> SourceData:
    return open_folder(DataRequest(folder=folder))


def found(folder: Path) -> list[tuple[str, str]]:
    """(class, file) of each training image."""
    source = opened(folder)
    files = [path.relative_to(folder).as_posix() for path in source.train.files]
    names = [source.classes[label] for label in source.train.labels]
    return list(zip(names, files, strict=True))


def test_class_folders(tmp_path):
    put(tmp_path, "dog/1.png", "cat/b.png", "cat/a.png", "cat/deep/er/0.png", "Zebra/1.png")
    assert opened(tmp_path).classes == ("Zebra", "cat", "dog")
    assert found(tmp_path) == [
        ("Zebra", "Zebra/1.png"),
        ("cat", "cat/a.png"),
        ("cat", "cat/b.png"),
        ("cat", "cat/deep/er/0.png"),
        ("dog", "dog/1.png"),
    ]


@pytest.mark.parametrize(
    ("names", "augment"),
    [(("0", "1"), "crop"), (("b", "d"), "crop"), (("b", "dog"), "crop-flip")],
)
@pytest.mark.parametrize("above", ["", "train/"])
def test_digits_and_letters_are_not_mirrored(registry, tmp_path, names, augment, above):
    for name in names:
        for number in range(4):
            path = tmp_path / f"{above}{name}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 10 * number + len(name)).save(path)
    dataset = open_dataset(registry, data_config(str(tmp_path), registry))
    assert dataset.augment == augment


def test_the_order_does_not_depend_on_the_order_of_creation(tmp_path):
    names = [f"{name}/{index}.png" for name in ("b", "a") for index in range(20)]
    put(tmp_path / "one", *names)
    put(tmp_path / "two", *reversed(names))
    assert found(tmp_path / "one") == found(tmp_path / "two")


def test_extensions_in_any_case_and_nothing_else(tmp_path):
    put(tmp_path, "a/1.JPG", "a/2.jpeg", "a/3.TIFF", "a/4.WebP", "a/5.txt", "a/png", "b/1.gif")
    files = [file for _, file in found(tmp_path)]
    assert files == ["a/1.JPG", "a/2.jpeg", "a/3.TIFF", "a/4.WebP", "b/1.gif"]


def test_stray_files_and_folders_are_ignored(tmp_path):
    put(tmp_path, "a/1.png", "b/1.png", "readme.md", "1.png", ".DS_Store", "Thumbs.db")
    put(tmp_path, "a/.DS_Store", "a/Thumbs.db", "a/._1.png", "a/.cache/2.png")
    put(tmp_path, ".git/1.png", "__MACOSX/a/1.png")
    put(tmp_path, "$RECYCLE.BIN/S-1-5-21/1.png", "System Volume Information/1.png")
    put(tmp_path, "#recycle/1.png", "@Recycle/1.png", "lost+found/1.png", "#snapshot/x/1.png")
    put(tmp_path, "FOUND.000/1.png")
    put(tmp_path, "@eaDir/1.png", "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "b/deep/@EADIR/1.png")
    assert found(tmp_path) == [("a", "a/1.png"), ("b", "b/1.png")]


def test_what_the_commands_wrote_is_no_class(tmp_path):
    put(tmp_path, "a/1.png", "b/1.png", "a/own/run.json", "a/own/curves.png")
    put(tmp_path, "runs/20260101/run.json", "runs/20260101/curves.png", "mine/run.json")
    put(tmp_path, "comparisons/c/comparison.json", "comparisons/c/curves.png")
    put(tmp_path, "serving/labels.json", "serving/client.py", "serving/mlp/1/1.png")
    put(tmp_path, "onnx-fp32/1.png")
    (tmp_path / "onnx-fp32/manifest.json").write_text('{"source": {"run": "x"}}')
    assert found(tmp_path) == [("a", "a/1.png"), ("b", "b/1.png")]


def test_a_class_may_be_called_runs_and_hold_a_manifest(tmp_path):
    put(tmp_path, "runs/home/1.png", "walks/1.png")
    (tmp_path / "walks/manifest.json").write_text('["1.png"]')
    assert opened(tmp_path).classes == ("runs", "walks")


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "valid", "TESTING"),
        ("train", "dev", "test"),
        ("training_set", "val", "test_set"),
    ],
)
def test_split_folders(tmp_path, names):
    train, val, test = names
    put(tmp_path, f"{train}/a/1.png", f"{train}/a/2.png", f"{train}/b/1.png", "notes/1.png")
    put(tmp_path, f"{val}/a/1.png", f"{val}/b/1.png", f"{test}/b/1.png", f"{test}/a/1.png")
    source = opened(tmp_path)
    assert source.val is not None and source.test is not None
    assert source.classes == ("a", "b")
    assert source.train.labels.tolist() == [0, 0, 1]
    for split, name in ((source.val, val), (source.test, test)):
        assert split.labels.tolist() == [0, 1]
        assert [path.parts[-3] for path in split.files] == [name, name]


def test_folders_of_the_same_names_in_each_class_are_asked_about(tmp_path):
    put(tmp_path, "2023/cat/1.png", "2023/dog/1.png", "2024/cat/1.png", "2024/dog/1.png")
    (note,) = opened(tmp_path).notes
    assert note.startswith("the classes are 2023 and 2024, which all hold cat and dog;")


def test_one_folder_in_each_class_is_nothing_to_ask_about(tmp_path):
    put(tmp_path, "cat/images/1.png", "dog/images/1.png")
    assert opened(tmp_path).notes == ()


def test_missing_splits_are_left_to_the_core(tmp_path):
    put(tmp_path, "train/a/1.png", "train/b/1.png", "validation/a/1.png", "validation/b/1.png")
    source = opened(tmp_path)
    assert source.val is not None
    assert source.test is None


def test_a_class_may_be_called_train(tmp_path):
    put(tmp_path, "train/1.png", "car/1.png")
    assert opened(tmp_path).classes == ("car", "train")


@pytest.mark.parametrize("first", ["test_tube/1.png", "testament/deep/1.png"])
def test_a_class_may_have_a_name_like_a_splits(tmp_path, first):
    put(tmp_path, first, "train_car/deep/1.png")
    assert opened(tmp_path).classes == (first.split("/")[0], "train_car")


def test_a_class_may_be_called_valid(tmp_path):
    put(tmp_path, "valid/1.png", "invalid/1.png")
    assert opened(tmp_path).classes == ("invalid", "valid")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a/1.png", "b/notes.txt"], "Class 'b' has no images"),
        (["1.png"], "no class folders"),
        (["train/a/1.png", "train/b/1.png", "val/a/1.png"], "'b' is missing"),
        (["train/a/1.png", "val/a/1.png", "val/c/1.png"], "'c' is not among the training"),
        (["train/a/1.png", "val/a/1.png", "valid/a/1.png"], "Two folders for one split"),
        (["train/a/1.png", "val/notes.txt"], "no class folders"),
        (["trn/a/1.png", "test/a/1.png"], "'test' of class folders, but none for training"),
        (["seg_train/a/1.png", "seg_test/b/1.png", "seg_pred/1.png"], "are they splits"),
        (["train_images/a/1.png", "TestImages/b/1.png"], "are they splits"),
        (["train/cat.0.png", "test/0.png"], "test and train are called as splits"),
        (["train/cat.0.png", "test1/0.png"], "called as splits"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, names, words):
    put(tmp_path, *names)
    with pytest.raises(DataError, match=words) as caught:
        opened(tmp_path)
    assert caught.value.where


def test_names_that_differ_only_in_case(tmp_path):
    put(tmp_path, "Cat/1.png", "cat/1.png")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system cannot tell them apart")
    with pytest.raises(DataError, match="Cat and cat"):
        opened(tmp_path)


def test_accents_may_be_stored_otherwise_in_another_split(tmp_path):
    """As on a Mac, where é is e and an accent, and sorted elsewhere."""
    put(tmp_path, "train/\u00e9t\u00e9/1.png", "train/f/1.png", "train/a/1.png")
    put(tmp_path, "test/e\u0301te\u0301/1.png", "test/f/1.png", "test/a/1.png")
    source = opened(tmp_path)
    assert source.test is not None
    assert source.classes == ("a", "f", "\u00e9t\u00e9")
    assert [path.parent.name for path in source.test.files] == ["a", "f", "e\u0301te\u0301"]
    assert opened(tmp_path / "test").classes == source.classes  # of a Mac alone
    put(tmp_path, "test/a/e\u0301.png", "test/a/f.png")
    assert [path.name for path in opened(tmp_path).test.files[1:3]] == ["f.png", "e\u0301.png"]
    put(tmp_path, "train/e\u0301te\u0301/1.png")
    if len(list((tmp_path / "train").iterdir())) == 4:  # not on a Mac, which knows them for one
        with pytest.raises(DataError, match="how accents are stored"):
            opened(tmp_path)


def test_emoji_and_words_of_several_parts_are_names(tmp_path):
    names = ("cat", "👩\u200d🌾", "❤\ufe0f", "می\u200cخواهم")
    put(tmp_path, *(f"{name}/1.png" for name in names))
    assert set(opened(tmp_path).classes) == set(names)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    try:
        put(tmp_path, "a\nb/1.png")
    except OSError:
        pytest.skip("this system has no such names")
    with pytest.raises(DataError, match="not readable text"):
        opened(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="Cannot read the folder"):
        opened(tmp_path / "absent")


def test_the_folder_must_be_named(registry):
    with pytest.raises(UsageError, match="needs a folder"):
        open_dataset(registry, data_config("folder", registry))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
class TestLinks:
    def test_a_loop_is_visited_once(self, tmp_path):
        put(tmp_path, "a/1.png", "b/1.png")
        (tmp_path / "loop").symlink_to(".")
        (tmp_path / "up").symlink_to("..")
        (tmp_path / "a" / "loop").symlink_to(".")
        (tmp_path / "a" / "all").symlink_to("..")
        assert found(tmp_path) == [("a", "a/1.png"), ("b", "b/1.png")]

    def test_neither_is_one_that_windows_calls_no_link(self, tmp_path, monkeypatch):
        """A junction."""
        put(tmp_path, "a/1.png", "b/1.png")
        (tmp_path / "loop").symlink_to(".")
        monkeypatch.setattr(Path, "is_symlink", lambda self: False)
        assert opened(tmp_path).classes == ("a", "b")

    def test_linked_files_and_class_folders_count(self, tmp_path):
        put(tmp_path / "store", "cats/1.png", "2.png")
        put(tmp_path / "data", "b/1.png")
        (tmp_path / "data/a").symlink_to(tmp_path / "store/cats")
        (tmp_path / "data/b/2.png").symlink_to(tmp_path / "store/2.png")
        files = [file for _, file in found(tmp_path / "data")]
        assert files == ["a/1.png", "b/1.png", "b/2.png"]

    def test_a_broken_link_is_left_to_be_skipped_and_named(self, tmp_path):
        put(tmp_path, "a/1.png", "b/1.png")
        (tmp_path / "a/2.png").symlink_to("nowhere")
        assert ("a", "a/2.png") in found(tmp_path)

    def test_a_fifo_is_refused_by_name(self, tmp_path):
        put(tmp_path, "a/1.png", "b/1.png")
        os.mkfifo(tmp_path / "a/2.png")
        with pytest.raises(DataError, match="not a regular file") as caught:
            opened(tmp_path)
        assert caught.value.where == str(tmp_path / "a/2.png")


def test_from_files_to_splits(tmp_path, registry):
    for index, name in enumerate(("été", "cat 1", "圖")):
        (tmp_path / name).mkdir()
        for number in range(10):
            image = Image.new("RGB", (40, 30), (index * 100, number * 20, 0))
            image.save(tmp_path / name / f"{number}.png")
    data = open_dataset(registry, data_config(str(tmp_path), registry))
    assert data.classes == ("cat 1", "été", "圖")
    assert data.image_shape == (3, 30, 40)
    assert (len(data.train), len(data.val), len(data.test)) == (21, 3, 6)
    reds = {"été": 0, "cat 1": 100, "圖": 200}
    for split in (data.train, data.val, data.test):
        for pixels, label in zip(split.pixels, split.labels, strict=True):
            assert pixels[0, 0, 0] == reds[data.classes[label]]


@pytest.mark.parametrize(
    ("names", "classes", "splits"),
    [
        (("dog/1.png",), ("dog",), {"train": [0]}),
        (("Test/dog/1.png", "Test/cat/1.png"), ("cat", "dog"), {"train": [0, 1]}),
        (("val/dog/1.png", "test/cat/1.png"), ("cat", "dog"), {"train": [1], "test": [0]}),
        (("train/a/1.png", "test/b/1.png"), ("a", "b"), {"train": [0], "test": [1]}),
    ],
)
def test_a_whole_folder_need_not_be_one_to_train_on(tmp_path, names, classes, splits):
    put(tmp_path, *names)
    source = open_folder(DataRequest(folder=tmp_path, whole=True))
    given = {name: getattr(source, name) for name in ("train", "val", "test")}
    assert source.classes == classes
    assert {name: s.labels.tolist() for name, s in given.items() if s is not None} == splits


@pytest.mark.parametrize("names", [("test", "testing"), ("val", "validation", "dev")])
def test_a_whole_folder_may_have_one_folder_for_a_split_too(tmp_path, names):
    put(tmp_path, *(f"{name}/{label}/1.png" for name in names for label in "ab"))
    with pytest.raises(DataError, match="Two folders for one split"):
        open_folder(DataRequest(folder=tmp_path, whole=True))


def test_a_class_folder_that_may_be_listed_alone_is_no_fault_of_the_plugin(tmp_path, monkeypatch):
    put(tmp_path, "cat/1.png", "dog/1.png")
    exists = Path.exists

    def refused(self, **options):
        if self.suffix == ".png":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return exists(self, **options)

    monkeypatch.setattr(Path, "exists", refused)
    with pytest.raises(DataError, match="Cannot read the folder: Permission denied") as caught:
        opened(tmp_path)
    assert caught.value.where.endswith(".png")
