"""The report counts right, and reads back only if whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnnreg.errors import ModelFileError
from cnnreg.runs.report import MISTAKES, make_report, read_report, write_report

LABELS = np.array([0, 0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 1, 0, 1])
CONFIDENCE = np.array([0.9, 0.8, 0.6, 0.99, 0.7, 0.95, 0.5], np.float32)
CLASSES = ("cat", "dog", "owl", "never seen")


def report(**changes):
    settings = {"classes": CLASSES, "epoch": 4, **changes}
    return make_report(LABELS, PREDICTED, CONFIDENCE, **settings)


def test_rows_are_true_and_columns_predicted():
    made = report()
    assert made.confusion == ((2, 2, 0, 0), (1, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0))
    assert (made.images, made.accuracy, made.epoch) == (7, 3 / 7, 4)


def test_each_class_has_its_share_and_none_where_nothing_was_tested():
    by_name = {result.name: result for result in report().classes}
    assert (by_name["cat"].accuracy, by_name["cat"].precision) == (0.5, 2 / 3)
    assert (by_name["dog"].accuracy, by_name["dog"].precision) == (0.5, 0.25)
    assert (by_name["owl"].accuracy, by_name["owl"].precision) == (0.0, None)
    assert (by_name["never seen"].accuracy, by_name["never seen"].support) == (None, 0)


def test_the_most_confident_mistakes_come_first_with_their_files():
    files = tuple(Path(f"{index}.png") for index in range(7))
    mistakes = report(files=files).mistakes
    assert [mistake.index for mistake in mistakes] == [3, 5, 2, 6]
    assert (mistakes[0].file, mistakes[0].true, mistakes[0].predicted) == ("3.png", "cat", "dog")
    assert mistakes[0].confidence == pytest.approx(0.99)
    assert {mistake.file for mistake in report().mistakes} == {None}


def test_mistakes_are_limited():
    labels = np.zeros(1000, np.int64)
    made = make_report(labels, labels + 1, np.ones(1000, "f4"), classes=("a", "b"), epoch=1)
    assert (len(made.mistakes), made.confusion[0][1]) == (MISTAKES, 1000)


@pytest.mark.parametrize(
    "labels, predicted, as_good",
    [
        (50 * [0, 1, 2], 150 * [1], "a"),  # the commonest of equals: the first
        (50 * [0, 1, 2], 50 * [1, 2, 0], "a"),
        (50 * [0, 1, 2], 40 * [0, 1, 2] + 30 * [0], ""),
        (80 * [0] + 20 * [1], 100 * [0], "a"),
        (80 * [0] + 20 * [1], 60 * [0] + 20 * [1] + 15 * [1] + 5 * [0], ""),  # 75 %, but not blind
        (80 * [0] + 20 * [2], 100 * [2], "a"),
        (10 * [0, 1, 2], 30 * [1], ""),  # too few to say
    ],
)
def test_a_network_that_has_learned_nothing_is_known(labels, predicted, as_good):
    made = make_report(
        np.array(labels),
        np.array(predicted),
        np.ones(len(labels), np.float32),
        classes=("a", "b", "c"),
        epoch=1,
    )
    assert made.as_good == as_good


def test_confusions_are_ranked():
    pairs = [(pair.true, pair.predicted, pair.images) for pair in report().confusions(2)]
    assert pairs == [("cat", "dog", 2), ("dog", "cat", 1)]


def test_a_report_reads_back_as_it_was_written(tmp_path):
    mistaken = "caf\udce9.png", "a\nb.png", "\\udce9", "日本語.png"
    names = "0", "1", *mistaken[:2], "4", *mistaken[2:]
    made = report(files=tuple(map(Path, names)))
    write_report(tmp_path / "report.json", made)
    assert read_report(tmp_path / "report.json") == made
    assert {mistake.file for mistake in made.mistakes} == set(mistaken)
    assert "日本語" in (tmp_path / "report.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("field", "value"),
    [("confusion", [[1]]), ("classes", [{"surprise": 1}]), ("images", "many")],
)
def test_a_damaged_report_is_refused(tmp_path, field, value):
    path = tmp_path / "report.json"
    write_report(path, report())
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(ModelFileError, match="Damaged report"):
        read_report(path)


def test_numbers_that_are_none_stay_valid_json(tmp_path):
    confidence = np.full(7, np.nan, np.float32)
    made = make_report(LABELS, PREDICTED, confidence, classes=CLASSES, epoch=1)
    write_report(tmp_path / "report.json", made)
    assert "NaN" not in (tmp_path / "report.json").read_text()
