"""A small comparison on the embedded digits, as a user types it."""

from __future__ import annotations

import csv
import json
import math
import signal
import sys
from contextlib import ExitStack

import click
import pytest
import torch

from cnnreg.cli.compare_worker import Worker
from cnnreg.cli.progress import TrainingProgress
from cnnreg.comparing import work
from cnnreg.errors import MachineError, PluginError
from cnnreg.files import sole_writer
from cnnreg.runs import open_run
from cnnreg.training import closing
from cnnreg.training.saving import saver
from helpers import cli, set_terminal

SMALL = (
    "compare", "mlp", "--optimizers", "adam,sgd", "--lrs", "0.01,0.001", "--seeds", "2",
    "--epochs", "2",
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Batches are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_pictures_of_single_runs(monkeypatch):
    """They take longer than all of the training."""
    monkeypatch.setattr(saver.Saver, "draw", lambda self: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, one_thread):
    """A comparison that nothing interrupted: its folder and what --json printed."""
    folder = tmp_path_factory.mktemp("with spaces ü") / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saver.Saver, "draw", lambda self: None)
        code, out, err = cli(*SMALL, "--output", folder, "--json")
    assert code == 0, err
    return folder, json.loads(out)


def accuracies(report):
    return {
        tuple(of[key] for key in ("optimizer", "learning_rate", "seed")): (
            of["val_accuracy"], of["test_accuracy"], of["epochs"],
        )
        for of in report["trials"]
    }  # fmt: skip


def test_every_combination_is_a_run_that_other_commands_can_use(whole):
    folder, report = whole
    assert len(accuracies(report)) == 8
    for of in report["trials"]:
        name = f"mlp-digits-{of['optimizer']}-{of['learning_rate']}-seed{of['seed']}"
        assert of["run"] == f"runs/{name}"
        run = open_run(folder / of["run"])
        assert run.result["test_accuracy"] == of["test_accuracy"]
        assert run.config.recipe.optimizer == of["optimizer"]
    code, out, err = cli("eval", folder / of["run"], "--json")
    assert code == 0, err
    assert json.loads(out)["accuracy"] == pytest.approx(of["test_accuracy"])


def test_the_files_hold_what_json_says(whole):
    folder, report = whole
    saved = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert saved["trials"] == report["trials"]
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    assert "mlp on digits" in (folder / "report.md").read_text(encoding="utf-8")
    assert {len(of["curves"]["val_accuracy"]) for of in report["trials"]} == {2}


def test_the_same_command_again_trains_nothing_and_fits_a_terminal(whole, monkeypatch):
    folder, _ = whole
    set_terminal(monkeypatch, 100)
    monkeypatch.setattr("cnnreg.training.trainer.run_training", None)
    code, out, err = cli(*SMALL, "--output", folder)
    assert code == 0, err
    out = click.unstyle(out)
    lines = out.partition("report ")[0].splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.split()[:3] == ["adam", "0.001", "2"] for line in lines)
    assert "best learning rate" in out
    assert "has the highest mean validation accuracy" in out


def figures(folder):
    """What results.csv holds of the trials of the first seed, but for where and how long."""
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["seed"] == "0"]
    return sorted(tuple(v for k, v in line.items() if k not in {"seconds"}) for line in lines)


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


def test_new_contestants_join_and_a_diverged_one_is_a_result(tmp_path):
    first = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "2")
    folder = tmp_path / "growing"
    assert cli(*first, "--output", folder)[0] == 0
    second = cli(*first, "--lrs", "1e30", "--output", folder, "--json")
    assert second[0] == 0, second[2]
    report = json.loads(second[1])
    assert sorted((of["learning_rate"], of["seed"], of["diverged"]) for of in report["trials"]) == [
        (0.001, 0, False), (0.001, 1, False), (1e30, 0, True), (1e30, 1, True),
    ]  # fmt: skip
    assert [cell["learning_rate"] for cell in report["best"]] == [0.001]
    assert "diverged" in second[2]
    code, _, err = cli(*first, "--batch-size", "32", "--output", folder)
    assert code == 2
    assert "mlp with batch size 64, not 32" in err


def test_a_loss_that_is_no_number_is_a_result_in_valid_json(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnreg.training.loop.evaluate", lambda *a, **k: (math.inf, 0.1))
    command = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "1")
    code, out, err = cli(*command, "--output", tmp_path / "x", "--json")
    assert code == 0, err
    (trial,) = json.loads(out, parse_constant=pytest.fail)["trials"]
    assert (trial["diverged"], trial["curves"]["val_loss"]) == (True, [None])
    code, out, _ = cli("runs", "show", tmp_path / "x" / trial["run"], "--json")
    assert code == 0
    assert json.loads(out, parse_constant=pytest.fail)["history"][0]["val_loss"] is None


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("CUDA out of memory. Tried"), 5, "Out of memory."),
        (PluginError("Optimizer 'adam' failed."), 6, "Optimizer 'adam' failed."),
        (KeyError("x"), 1, "Internal error: KeyError: 'x'"),
    ],
)
def test_a_contestant_that_fails_does_not_keep_the_others_from_a_report(
    error, code, said, tmp_path, monkeypatch
):
    def fails(registry, trial, *arguments, **options):
        if trial.optimizer == "adam":
            raise error
        return train(registry, trial, *arguments, **options)

    train = work.train_trial
    command = ("compare", "mlp", "--optimizers", "adam,sgd", "--epochs", "1", "--seeds", "2")
    with monkeypatch.context() as patch:
        patch.setattr(work, "train_trial", fails)
        got, out, err = cli(*command, "--output", tmp_path / "x", "--json")
        assert got == code
        states = [(of["optimizer"], bool(of["failure"])) for of in json.loads(out)["trials"]]
        assert sorted(states) == [("adam", True)] * 2 + [("sgd", False)] * 2
        assert f"set aside: mlp-digits-adam-0.001-seed0: {said}" in err
        got, out, err = cli("compare", "--resume", tmp_path / "x")
        assert got == code
        assert f"adam 0.001, seed 0, failed: {said}" in out
        assert f"error: {said}" in err
        nobody = ("compare", "mlp", "--optimizers", "adam", "--seeds", "1", "--json")
        got, out, _ = cli(*nobody, "--output", tmp_path / "y")
        assert (got, json.loads(out)["error"]["exit"]) == (code, code)
    code, out, err = cli("compare", "--resume", tmp_path / "x", "--json")
    assert code == 0, err
    assert [of["failure"] for of in json.loads(out)["trials"]] == [None] * 4


def test_what_another_worker_has_finished_since_is_no_failure(tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise MachineError("Out of memory.")

    def works_beside_another(self, **options):
        with monkeypatch.context() as patch:
            patch.setattr(work, "train_trial", fails)
            alone(self, **options)
        monkeypatch.setattr(Worker, "work", alone)
        assert cli("compare", "--resume", tmp_path / "x")[0] == 0

    alone = Worker.work
    monkeypatch.setattr(Worker, "work", works_beside_another)
    command = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "1")
    code, out, err = cli(*command, "--output", tmp_path / "x", "--json")
    assert (code, "set aside" in err) == (0, True), err
    report = json.loads(out[out.index("{") :])  # behind the other worker's table
    assert [of["failure"] for of in report["trials"]] == [None]


def test_a_report_that_cannot_be_written_is_one_document(whole, monkeypatch):
    def full(*arguments):
        raise MachineError("Disk full.")

    monkeypatch.setattr("cnnreg.comparing.report.write_json", full)
    code, out, _ = cli(*SMALL, "--output", whole[0], "--json")
    assert code == 5
    assert json.loads(out)["error"]["message"] == "Disk full."


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
        assert [of["run"] for of in report["trials"]] == ["runs/mlp-digits-sgd-0.001-seed0"]
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


def test_a_damaged_name_is_told(tmp_path):
    (tmp_path / "comparison.json").write_text('{"study": 3}', encoding="utf-8")
    code, _, err = cli("compare", "mlp", "--output", tmp_path)
    assert code == 4
    assert "it names no study" in err


def test_the_rate_is_the_networks_own_where_none_is_given(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("learning_rate = 0.25\nepochs = 1\n", encoding="utf-8")
    command = ("compare", "mlp", "--optimizers", "sgd", "--seeds", "1", "--recipe", recipe)
    code, out, err = cli(*command, "--output", tmp_path / "x", "--json")
    assert code == 0, err
    assert [of["learning_rate"] for of in json.loads(out)["trials"]] == [0.25]


def test_changed_images_are_refused(tmp_path, monkeypatch):
    first = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "1")
    assert cli(*first, "--output", tmp_path / "x")[0] == 0
    monkeypatch.setattr("cnnreg.data.dataset.Dataset.fingerprint", "f" * 64)
    code, _, err = cli(*first, "--seeds", "2", "--output", tmp_path / "x")
    assert code == 2
    assert "digits with fingerprint" in err
    code, _, err = cli("compare", "--resume", tmp_path / "x", "--json")
    assert code == 0  # nothing is left to train


def test_contestants_of_a_seed_start_equal_and_see_the_same_images(tmp_path):
    """At a rate too small to move a weight, every optimizer must give the same figures."""
    code, out, err = cli(
        "compare", "mlp", "--optimizers", "adam,momentum", "--lrs", "1e-30", "--seeds", "2",
        "--epochs", "1", "--augment", "crop", "--output", tmp_path / "x", "--json",
    )  # fmt: skip
    assert code == 0, err
    figures = {seed: set() for seed in (0, 1)}
    for of in json.loads(out)["trials"]:
        figures[of["seed"]].add(json.dumps([of["curves"], of["test_accuracy"]]))
    assert [len(same) for same in figures.values()] == [1, 1]
    assert figures[0] != figures[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Name a network"),
        (["nonsense"], "Unknown architecture"),
        (["mlp", "--optimizers", "adm"], "Did you mean adam"),
        (["mlp", "--optimizers", ","], "--optimizers is empty"),
        (["mlp", "--lrs", "0.1,x"], "--lrs takes numbers"),
        (["mlp", "--lrs", "-1"], "learning rate must be above 0"),
        (["mlp", "--lr", "0.1"], "No such option '--lr'"),
        (["mlp", "--seed", "1"], "No such option '--seed'"),
        (["mlp", "--resume", ".", "--epochs", "3"], "no networks, no --epochs"),
        (["--resume", ".", "--lrs", "0.001", "--output", "x"], "no --lrs, no --output"),
        (["--resume", "nowhere"], "There is no comparison"),
        (["mlp", "--storage", "mysql://a:b@c/d"], "storage is not understood"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("compare", *arguments)
    assert code == 2
    assert said in err
    assert list(tmp_path.iterdir()) == []
