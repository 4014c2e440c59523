from pathlib import Path

from cnnreg.data import twins
from cnnreg.data.twins import Place, twins_told


def place(path: Path, content: bytes, split: str = "train", label: int = 0) -> Place:
    path.write_bytes(content)
    return Place(split, label, path)


def test_copies_of_training_images_in_other_splits(tmp_path):
    one, other = b"x" * 10_000, b"x" * 9_999 + b"y"  # alike in the middle
    places = [
        place(tmp_path / "1", one),
        place(tmp_path / "2", other),
        place(tmp_path / "1 (1)", one, "test"),
        place(tmp_path / "1 (2)", one, "test"),
        place(tmp_path / "2 (1)", other, "val"),
        place(tmp_path / "3", b"z" * 10_000, "test"),
    ]
    assert twins_told(places) == (
        "2 test images are also among the training images, "
        "1 validation image is also among the training images: "
        "1 (1) = 1, 1 (2) = 1, 2 (1) = 2"
    )


def test_copies_in_two_classes(tmp_path):
    places = [
        place(tmp_path / f"{number} {label}", bytes([number]) * 50, label=label)
        for number in range(4)
        for label in (0, 1, 1)
    ]
    assert twins_told(places).startswith("4 pictures lie in two classes: ")
    assert twins_told(places).endswith("2 0 = 2 1, ...")


def test_copies_in_one_class_and_split_do_no_harm(tmp_path):
    assert twins_told([place(tmp_path / name, b"x") for name in "abc"]) == ""


def test_others_that_cannot_be_read_and_no_files_at_all(tmp_path):
    gone = [Place("train", 0, tmp_path / "gone"), Place("test", 0, tmp_path / "gone")]
    assert twins_told(gone) == twins_told([]) == ""


def test_where_many_have_one_size_the_rare_sizes_are_looked_at(tmp_path, monkeypatch):
    many = [place(tmp_path / f"m{n}", bytes([n]), ("train", "test")[n % 2]) for n in range(4)]
    few = [place(tmp_path / split, b"xx", split) for split in ("train", "test")]
    monkeypatch.setattr(twins, "MOST", 5)
    looked = []
    monkeypatch.setattr(twins, "middle_of", lambda path: looked.append(path) or b"")
    assert twins_told([*many, *few]).startswith("1 test image is")
    assert len(looked) == 2
