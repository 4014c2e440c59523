"""Pictures of any classes: many, few, long names, any script; no warning, no formula."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cnnreg.pictures import answers
from cnnreg.pictures.answers import NAMED, draw_classes, draw_confusion, draw_mistakes
from cnnreg.runs.report import make_report

ODD = ("$x_1$", "a_b", "$", "日本語", "العربية", "🐱", "<b>&", "line\nbreak", "\\frac{", "x" * 300)


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
    draw_confusion(report, "title $ \ue123", folder / "confusion.png")
    draw_classes(report, "title $ \ue123", folder / "classes.png")
    draw_mistakes(report, pixels, "title $ \ue123", folder / "mistakes.png")
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


def test_equal_pictures_are_equal_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw(("cat", "dog"), tmp_path / name, count=20)
    for name in ("confusion", "classes", "mistakes"):
        one, two = (tmp_path / folder / f"{name}.svg" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("count", "tested", "said"),
    [
        (3, 3, ""),
        (3, 2, "; 1 without test images"),
        (NAMED + 2, NAMED + 2, f" (the {NAMED} worst)"),
        (NAMED + 5, NAMED + 2, f" (the {NAMED} worst); 3 without test images"),
        (NAMED + 2, NAMED, "; 2 without test images"),
    ],
)
def test_the_classes_that_are_not_shown_are_told_of(tmp_path, monkeypatch, count, tested, said):
    figures = []
    monkeypatch.setattr(answers, "save", lambda figure, path: figures.append(figure))
    truth = np.arange(tested)
    report = make_report(
        truth, truth, np.ones(tested, np.float32), classes=tuple(map(str, range(count))), epoch=1
    )
    draw_classes(report, "title", tmp_path / "classes.png")
    title = figures[0].get_suptitle()
    assert title == f"title\naccuracy of each class on the test images{said}"
