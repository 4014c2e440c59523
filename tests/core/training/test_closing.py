"""The end of a training: measured once, shown in full, and never lost to a picture."""

from __future__ import annotations

import errno
import json
import signal
import warnings
from pathlib import Path

import pytest
from PIL import Image

from cnnreg.data import DataConfig
from cnnreg.errors import StoppedError
from cnnreg.files import read_json, writing
from cnnreg.planning import plan
from cnnreg.recipe import Recipe
from cnnreg.runs import create_run, open_run
from cnnreg.runs.overview import survey
from cnnreg.runs.report import read_report
from cnnreg.training import closing, loop, trainer
from cnnreg.training.saving.checkpoint import read_checkpoint
from helpers import cli, make_run, pictures, refuse_once, state_of, train

PICTURES = ("curves", "confusion", "classes", "mistakes")


@pytest.fixture(scope="module")
def run(registry, tmp_path_factory):
    made = make_run(registry, tmp_path_factory.mktemp("runs") / "a_$b_$c", architecture="mlp")
    with warnings.catch_warnings(), pictures(drawn=True):
        warnings.simplefilter("error", UserWarning)  # "Glyph missing from font"
        train(registry, made)
    return made


def test_every_picture_is_there_in_both_formats(run):
    for name in PICTURES:
        assert (run.folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (run.folder / f"{name}.svg").read_bytes()[:500]


def test_the_report_and_the_result_agree(run):
    report = read_report(run.report)
    assert report.accuracy == run.result["test_accuracy"]
    assert report.epoch == run.result["best_epoch"]
    assert sum(map(sum, report.confusion)) == report.images == 360
    assert [result.name for result in report.classes] == list("0123456789")
    assert set(run.result) == {
        "epochs", "best_epoch", "val_accuracy", "test_accuracy", "seconds", "stopped_early",
    }  # fmt: skip


def test_the_summary_adds_up(run):
    summary = read_json(run.folder / "summary.json")
    assert summary["parameters"] == sum(stage["parameters"] for stage in summary["stages"])
    assert summary["macs"] == sum(stage["macs"] for stage in summary["stages"])
    assert (summary["input_shape"], summary["num_classes"]) == ([1, 28, 28], 10)
    assert f"{summary['parameters']:,}" in (run.folder / "summary.txt").read_text(encoding="utf-8")


def test_the_test_split_is_looked_at_once(registry, tmp_path, monkeypatch):
    asked = []
    real = trainer.judging_batches

    def watched(split, *others):
        asked.append(len(split))
        return real(split, *others)

    for module in (trainer, closing):
        monkeypatch.setattr(module, "judging_batches", watched)
    train(registry, make_run(registry, tmp_path / "run", epochs=2))
    assert asked == [139, 139, 360]


def test_a_picture_that_fails_is_noted_and_the_rest_is_there(
    registry, tmp_path, with_pictures, monkeypatch
):
    def broken(*arguments):
        raise RuntimeError("no such font")

    monkeypatch.setattr(closing, "draw_confusion", broken)
    monkeypatch.setattr(closing, "draw_mistakes", lambda *_: None)
    monkeypatch.setattr("cnnreg.training.saving.saver.draw_curves", broken)
    monkeypatch.setattr("cnnreg.training.saving.saver.DRAW_INTERVAL", -1.0)
    notes = []
    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run, note=notes.append)
    assert notes == ["the confusion matrix could not be made: RuntimeError: no such font"]
    assert run.result is not None
    assert run.report.exists()
    assert (run.folder / "classes.png").exists()


def test_a_checkpoint_that_cannot_be_removed_is_noted(registry, tmp_path, monkeypatch):
    """Any program may have it open, on Windows, when all has been written."""
    unlink, notes = Path.unlink, []

    def held(self, **options):
        if "previous" in self.name:
            raise PermissionError(errno.EACCES, "Access is denied")
        unlink(self, **options)

    monkeypatch.setattr(Path, "unlink", held)
    monkeypatch.setattr(writing, "PATIENCE", 0.0)
    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run, note=notes.append)
    assert notes == [f"{run.previous} could not be removed: Access is denied"]
    assert run.report.exists()
    assert not (run.folder / "failure.json").exists()


def test_a_scanner_that_looks_at_the_checkpoint_is_waited_for(registry, tmp_path, monkeypatch):
    refuse_once(monkeypatch, "unlink")
    notes = []
    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run, note=notes.append)
    assert notes == []
    assert not run.previous.exists()


def test_stopped_while_testing_and_resumed_ends_alike(registry, tmp_path, monkeypatch):
    whole = make_run(registry, tmp_path / "whole", epochs=1)
    train(registry, whole)
    parts = make_run(registry, tmp_path / "parts", epochs=1)
    real = closing.examine

    def stopped(*arguments, **options):
        signal.raise_signal(signal.SIGTERM)
        return real(*arguments, **options)

    monkeypatch.setattr(closing, "examine", stopped)
    with pytest.raises(StoppedError) as caught:
        train(registry, parts)
    assert caught.value.exit_code == 143
    assert parts.result is None
    monkeypatch.setattr(closing, "examine", real)
    assert train(registry, open_run(parts.folder)) == []
    assert read_report(parts.report) == read_report(whole.report)
    assert parts.best.read_bytes() == whole.best.read_bytes()


def test_cut_short_between_result_and_report_resume_makes_what_is_missing(
    registry, tmp_path, monkeypatch
):
    run = make_run(registry, tmp_path / "run", epochs=1)

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(closing, "draw_classes", killed)
        train(registry, run)
    before, weights = run.result, read_checkpoint(run.last).digest
    assert before is not None
    assert not run.report.exists()
    assert not run.previous.exists()
    assert survey(run.folder.parent)[0].state == "stopped"  # so that `resume` finds it
    code, _, err = cli("resume", run.folder)
    assert code == 0, err
    assert run.result == before
    assert read_checkpoint(run.last).digest == weights
    assert run.report.exists()
    code, _, err = cli("resume", run.folder)
    assert (code, "has finished" in err) == (2, True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_drawing_resume_makes_what_is_missing(
    registry, tmp_path, monkeypatch, number, code
):
    run = make_run(registry, tmp_path / "run", epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(closing, "draw_confusion", lambda *_: signal.raise_signal(number))
        patch.setattr(closing, "draw_classes", lambda *_: pytest.fail("drawn"))
        stopped, _, err = cli("resume", run.folder)
    assert stopped == code
    assert "Stopped before making the chart of the classes; all is saved." in err
    before = run.result
    assert before is not None
    assert not run.report.exists()
    assert cli("resume", run.folder)[0] == 0
    assert run.result == before
    assert run.report.exists()


@pytest.mark.parametrize(
    ("number", "code", "epoch"),
    [
        (signal.SIGINT, 130, 1),
        (signal.SIGTERM, 143, 2),
        pytest.param(signal.SIGINT, 130, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, 1, marks=pytest.mark.slow),
    ],
)
def test_stopped_while_validating_and_resumed_ends_alike(
    registry, tmp_path, monkeypatch, number, code, epoch
):
    whole = make_run(registry, tmp_path / "whole", epochs=2)
    train(registry, whole)
    parts = make_run(registry, tmp_path / "parts", epochs=2)
    calls, evaluate = [], loop.evaluate

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == epoch:
            signal.raise_signal(number)
        return evaluate(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "evaluate", interrupted)
        stopped, _, err = cli("resume", parts.folder)
    assert stopped == code
    assert "Stopped while evaluating; all is saved." in err
    assert read_checkpoint(parts.last).state["progress"]["step"] == 21 * epoch
    assert cli("resume", parts.folder)[0] == 0
    assert state_of(parts) == state_of(whole)
    assert parts.best.read_bytes() == whole.best.read_bytes()


def test_mistakes_name_the_files_they_were_read_from(registry, tmp_path):
    """Files that are skipped as unreadable must not shift the names."""
    names = ("$x_1$", "日本語", "a name that is long enough to be cut somewhere", "line")
    for label, name in enumerate(names):
        (tmp_path / "photos" / "test" / name).mkdir(parents=True)
        (tmp_path / "photos" / "train" / name).mkdir(parents=True)
        for number in range(40):
            part = "test" if number >= 10 else "train"
            # All alike: most are mistaken.
            image = Image.new("RGB", (32, 32), (100, label, number))
            image.save(tmp_path / "photos" / part / name / f"{number:03}.png")
    broken = tmp_path / "photos" / "test" / "$x_1$" / "010.png"
    broken.write_bytes(broken.read_bytes()[:50])
    data = DataConfig(name="folder", folder=tmp_path / "photos")
    config, dataset = plan(registry, "mlp", data, Recipe(epochs=1))
    run = create_run(config, folder=tmp_path / "run")
    list(trainer.run_training(registry, run, dataset))
    report = read_report(run.report)
    assert report.images == 119
    assert report.mistakes
    for mistake in report.mistakes:
        with Image.open(mistake.file) as image:
            red, green, blue = image.getpixel((0, 0))
        assert names[green] == mistake.true
        assert dataset.test.pixels[mistake.index][0, 0].tolist() == [red, green, blue]
    json.dumps(read_json(run.report), allow_nan=False)
