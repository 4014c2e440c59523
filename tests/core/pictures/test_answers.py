"""Pictures of any classes: many, few, long names, any script; no warning, no formula."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from cnnreg.pictures.answers import draw_classes, draw_confusion, draw_mistakes
from cnnreg.pictures.canvas import drawable, drawing, labels, save, shorten
from cnnreg.pictures.curves import draw_curves
from cnnreg.runs.report import make_report

ODD = ("$x_1$", "a_b", "$", "日本語", "العربية", "🐱", "<b>&", "line\nbreak", "\\frac{", "x" * 300)


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def draw(classes, folder, *, right=0.8, channels=3, side=16, count=200):
    random = np.random.default_rng(0)
    truth = random.integers(0, len(classes), count)
    wrong = random.random(count) > right
    report = make_report(
        truth,
        np.where(wrong, (truth + 1) % len(classes), truth),
        random.random(count).astype(np.float32),
        classes=classes,
        epoch=1,
    )
    pixels = random.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    draw_confusion(report, "title $", folder / "confusion.png")
    draw_classes(report, "title $", folder / "classes.png")
    draw_mistakes(report, pixels, "title $", folder / "mistakes.png")
    return {path.name: size_of(path) for path in folder.glob("*.png")}


def size_of(path):
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize(
    ("classes", "options"),
    [
        (ODD, {}),
        (("cat", "dog"), {"right": 1.0}),
        (("cat", "dog"), {"right": 0.0, "channels": 1}),
        (tuple(f"class_{number}" for number in range(130)), {"count": 1000}),
    ],
    ids=["odd", "no mistake", "all wrong", "many"],
)
def test_any_classes_can_be_drawn(tmp_path, classes, options):
    sizes = draw(classes, tmp_path, **options)
    assert sizes.keys() == {"confusion.png", "classes.png", "mistakes.png"}
    assert max(max(size) for size in sizes.values()) < 2600
    assert len(list(tmp_path.glob("*.svg"))) == 3


def test_what_no_font_can_write_becomes_a_number():
    assert not drawable("line\nbreak")
    assert not drawable("\U0002f800" * 2 + "\ue123")  # private use
    shown = labels(("cat", "\ue123", "a_$b$"))
    assert shown == ["cat", "class 1", "a_$b$"]


def test_long_names_are_cut():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"


def test_equal_pictures_are_equal_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw(("cat", "dog"), tmp_path / name, count=20)
    for name in ("confusion", "classes", "mistakes"):
        one, two = (tmp_path / folder / f"{name}.svg" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_a_user_s_own_matplotlib_settings_come_back(tmp_path):
    import matplotlib as mpl
    from matplotlib.figure import Figure

    before = dict(mpl.rcParams)
    with drawing():
        save(Figure(figsize=(1, 1)), tmp_path / "x.png")
    assert dict(mpl.rcParams) == before


def test_curves_of_no_epoch_can_be_drawn(tmp_path):
    draw_curves([], "nothing yet $", tmp_path / "curves.png", formats=("png",))
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
