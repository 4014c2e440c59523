"""`cnnreg predict`: which pictures are meant, and what it prints, also where it is stopped."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from cnnreg.cli import predict as module
from cnnreg.cli.predict import _print
from cnnreg.errors import DataError, MachineError
from cnnreg.termination import Terminated
from cnnreg.using import Guess
from helpers import cli, refused


@pytest.fixture
def answers(monkeypatch):
    """A model that gives, or raises, for each picture in turn what the test put here."""
    given: list[object] = []

    def answer(model, image, *, top):
        said = given.pop(0) if given else [Guess("cat", 1.0)]
        if isinstance(said, BaseException):
            raise said
        if isinstance(said, signal.Signals):
            signal.raise_signal(said)
        return said

    monkeypatch.setattr(module, "load", lambda *args, **options: None)
    monkeypatch.setattr(module, "predict", answer)
    return given


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_result_is_one_line_however_long_its_path(capsys):
    path = Path("pictures " * 25, "cat.jpg")
    _print(path, [Guess("cat", 0.75), Guess("dog", 0.25)])
    assert capsys.readouterr().out == f"{path}: cat 75.0 %, dog 25.0 %\n"


def test_a_folder_means_its_pictures_at_any_depth(answers, tmp_path):
    make(tmp_path, "b.JPG", "a.png", "deep/c.jpeg", "notes.txt", ".hid/d.png", "deep/._c.jpeg")
    code, out, err = cli("predict", "model", tmp_path, tmp_path / "gone.png", "--json")
    assert code == 0, err
    named = [item["image"] for item in json.loads(out)["predictions"]]
    expected = ["a.png", "b.JPG", str(Path("deep", "c.jpeg")), "gone.png"]
    assert named == [str(tmp_path / name) for name in expected]


def test_charts_of_trainings_below_it_are_no_pictures_to_name(answers, tmp_path):
    make(tmp_path, "a.png", "runs/first/run.json", "runs/first/curves.png", "cat/b.png")
    code, out, err = cli("predict", "model", tmp_path, "--json")
    assert code == 0, err
    named = [item["image"] for item in json.loads(out)["predictions"]]
    assert named == [str(tmp_path / name) for name in ("a.png", str(Path("cat", "b.png")))]


def test_a_folder_without_pictures_says_so(tmp_path):
    make(tmp_path, "notes.txt")
    refused(3, "no pictures in this folder", "predict", "model", tmp_path)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (MachineError("Gone."), 5),
        (MemoryError(), 5),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
    ],
    ids=repr,
)
def test_what_was_answered_before_an_end_is_in_the_document(answers, end, code):
    answers += [[Guess("dog", 0.75)], DataError("Damaged.", hint="Mend it."), end]
    ended, out, _ = cli("predict", "model", "a.png", "b.png", "c.png", "d.png", "--json")
    document = json.loads(out)
    assert (ended, document["error"]["exit"]) == (code, code)
    assert document["finished"] == [
        {"image": "a.png", "top": [{"class": "dog", "probability": 0.75}]},
        {"image": "b.png", "error": "Damaged.", "hint": "Mend it."},
    ]
