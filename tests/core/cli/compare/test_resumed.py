"""Comparisons that were interrupted, renamed, damaged or begun elsewhere."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack

import pytest

from cnnreg.cli.progress import TrainingProgress
from cnnreg.files import sole_writer
from cnnreg.training import closing
from cnnreg.training.saving import saver
from comparisons import SMALL, accuracies, figures
from helpers import cli, refused


def test_what_was_interrupted_goes_on_in_the_middle_of_a_trial(whole, tmp_path, monkeypatch):
    """After an epoch, and in one; the figures are those of a comparison that was not stopped."""
    saved, save = [], saver.Saver.save_epoch
    steps, step = [], TrainingProgress.step

    def save_and_press_ctrl_c(self, record):
        save(self, record)
        saved.append((self.run.name, record.epoch))
        if len(saved) == 1:
            signal.raise_signal(signal.SIGINT)

    def step_and_terminate(self, state):
        step(self, state)
        steps.append(state.batch)
        if len(saved) == 4 and state.batch == 5 and steps.count(5) == 5:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(saver.Saver, "save_epoch", save_and_press_ctrl_c)
    monkeypatch.setattr(TrainingProgress, "step", step_and_terminate)
    folder, one_seed = tmp_path / "stopped", (*SMALL, "--seeds", "1")
    code, _, err = cli(*one_seed, "--output", folder)
    assert code == 130
    assert f"Go on with: cnnreg compare --resume {folder}" in err
    code, _, err = cli(*one_seed, "--output", folder)
    assert code == 143
    assert "step 5/" in err
    code, out, err = cli("compare", "--resume", folder, "--json")
    assert code == 0, err
    assert len(saved) == len(set(saved)) == 8, "an epoch was trained twice"
    assert len(steps) == 8 * max(steps), "a step was trained twice"
    expected = {key: value for key, value in accuracies(whole[1]).items() if key[2] == 0}
    assert accuracies(json.loads(out)) == expected
    assert figures(folder) == figures(whole[0])


@pytest.mark.parametrize(
    "place",
    ["cnnreg.training.closing.draw_curves", "cnnreg.comparing.work.open_trial"],
)
def test_a_stop_just_after_a_training_or_before_it_is_heard(place, tmp_path, monkeypatch):
    module, _, name = place.rpartition(".")
    real = getattr(sys.modules[module], name)

    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGTERM)
        return real(*arguments, **options)

    def save_epoch(self, record):
        saved.append(self.run.name)
        save(self, record)

    saved, save = [], saver.Saver.save_epoch
    monkeypatch.setattr(saver.Saver, "save_epoch", save_epoch)
    monkeypatch.setattr(place, interrupted)
    command = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "2")
    code, _, err = cli(*command, "--output", tmp_path / "x")
    assert code == 143, err
    assert len(list((tmp_path / "x/runs").iterdir())) == 1
    assert not list((tmp_path / "x/runs").glob("*/report.json"))  # made when it goes on
    monkeypatch.setattr(place, real)
    code, out, err = cli("compare", "--resume", tmp_path / "x", "--json")
    assert code == 0, err
    assert len(json.loads(out)["trials"]) == len(set(saved)) == len(saved) == 2


def test_a_training_that_another_process_goes_on_with_is_waited_for(tmp_path, monkeypatch):
    """A worker that was taken for dead, say; with a heartbeat as the first one settled it."""
    command = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "2")
    save = saver.Saver.save_epoch

    def save_and_stop(self, record):
        save(self, record)
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(saver.Saver, "save_epoch", save_and_stop)
        assert cli(*command, "--heartbeat", "7", "--output", tmp_path / "x")[0] == 143
    (run,) = (tmp_path / "x/runs").iterdir()
    with ExitStack() as held:
        held.enter_context(sole_writer(run))
        monkeypatch.setattr("cnnreg.comparing.study._pause", lambda *_: held.close())
        code, _, err = cli(*command, "--heartbeat", "9", "--output", tmp_path / "x")
    assert code == 0, err
    assert "a sign of life every 7 s" in err
    assert "waiting for 1 trials of other workers" in err
    assert len(list((tmp_path / "x/runs").glob("*/result.json"))) == 2


def test_what_was_interrupted_while_drawing_is_drawn_on_going_on(tmp_path, monkeypatch):
    folder = tmp_path / "study"
    line = (*SMALL, "--lrs", "0.01", "--seeds", "1", "--epochs", "1")
    with monkeypatch.context() as patch:
        patch.setattr(closing, "draw_confusion", lambda *_: signal.raise_signal(signal.SIGINT))
        assert cli(*line, "--output", folder)[0] == 130
    assert len(list(folder.glob("runs/*/result.json"))) == 1
    assert not list(folder.glob("runs/*/report.json"))
    assert cli("compare", "--resume", folder)[0] == 0
    assert len(list(folder.glob("runs/*/report.json"))) == 2


@pytest.mark.parametrize("storage", ["in its folder", "elsewhere"])
def test_a_folder_that_was_renamed_finds_its_study(storage, tmp_path, monkeypatch):
    first, second = tmp_path / "before", tmp_path / "after"
    command = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "1")
    if storage == "elsewhere":
        monkeypatch.setenv("CNNREG_STORAGE", f"sqlite:///{tmp_path / 'shared.db'}")
    assert cli(*command, "--output", first)[0] == 0
    first.rename(second)
    for again in (("compare", "--resume", second), (*command, "--output", second)):
        code, out, err = cli(*again, "--json")
        assert code == 0, err
        report = json.loads(out)
        assert report["comparison"] == "before"
        assert [of["run"] for of in report["trials"]] == ["runs/mlp-digits-sgd-0.1-seed0"]
    assert (second / report["trials"][0]["run"] / "result.json").is_file()


def test_a_comparison_begun_in_its_folder_goes_on_there_whatever_the_variable_says(
    whole, tmp_path, monkeypatch
):
    monkeypatch.setenv("CNNREG_STORAGE", f"sqlite:///{tmp_path / 'shared.db'}")
    monkeypatch.setattr("cnnreg.training.trainer.run_training", None)
    for command in (("compare", "--resume"), (*SMALL, "--output")):
        code, out, err = cli(*command, whole[0], "--json")
        assert code == 0, err
        assert len(json.loads(out)["trials"]) == 8
        assert not (tmp_path / "shared.db").exists()


def test_a_study_begun_elsewhere_is_not_begun_anew_in_the_folder(tmp_path, monkeypatch):
    shared, folder = f"sqlite:///{tmp_path / 'shared.db'}", tmp_path / "folder"
    command = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "1")

    def press_ctrl_c(self, record):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(saver.Saver, "save_epoch", press_ctrl_c)
        code, _, err = cli(*command, "--output", folder, "--storage", shared)
    assert (code, f"Go on with: cnnreg compare --resume {folder} and the --storage" in err) == (
        130,
        True,
    )
    for again in (("compare", "--resume", folder), (*command, "--output", folder)):
        refused(2, "in a database elsewhere", *again)
        assert not (folder / "study.db").exists()
        assert cli(*again, "--storage", shared)[0] == 0


@pytest.mark.parametrize("what", ["--output", "--resume"])
def test_a_folder_of_other_things_is_left_alone(what, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNREG_STORAGE", f"sqlite:///{tmp_path / 'shared.db'}")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "report.md").write_text("my thesis", encoding="utf-8")
    networks = ("mlp",) if what == "--output" else ()
    code, _, err = cli("compare", *networks, what, folder)
    assert code == 2
    assert "not empty, and holds no comparison" in err
    assert [path.name for path in folder.iterdir()] == ["report.md"]
    code, _, err = cli("compare", "mlp", "--output", folder / "report.md")
    assert code == 2
    assert "This is a file" in err
    assert not (tmp_path / "shared.db").exists()


def test_a_study_in_its_folder_is_not_gone_on_with_where_another_is_named(whole, tmp_path):
    elsewhere = f"sqlite:///{tmp_path / 'shared.db'}"
    for command in (("compare", "--resume"), (*SMALL, "--output")):
        refused(2, "is in the folder itself", *command, whole[0], "--storage", elsewhere)
    assert not (tmp_path / "shared.db").exists()


def test_a_damaged_name_is_told(tmp_path):
    (tmp_path / "comparison.json").write_text('{"study": 3}', encoding="utf-8")
    code, _, err = cli("compare", "mlp", "--output", tmp_path)
    assert code == 4
    assert "it names no study" in err


def test_changed_images_are_refused(tmp_path, monkeypatch):
    first = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "1")
    assert cli(*first, "--output", tmp_path / "x")[0] == 0
    monkeypatch.setattr("cnnreg.data.dataset.Dataset.fingerprint", "f" * 64)
    code, _, err = cli(*first, "--seeds", "2", "--output", tmp_path / "x")
    assert code == 2
    assert "digits with fingerprint" in err
    code, _, err = cli("compare", "--resume", tmp_path / "x", "--json")
    assert code == 0  # nothing is left to train
