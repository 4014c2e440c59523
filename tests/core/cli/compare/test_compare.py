"""A small comparison on the embedded digits, as a user types it."""

from __future__ import annotations

import csv
import errno
import json
import math

import click
import pytest

from cnnreg.cli.compare import make_plan
from cnnreg.cli.compare_worker import Worker
from cnnreg.comparing import work
from cnnreg.errors import MachineError, PluginError
from cnnreg.runs import open_run
from comparisons import SMALL, accuracies
from helpers import cli, set_terminal


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


def test_new_contestants_join_and_a_diverged_one_is_a_result(tmp_path):
    first = ("compare", "mlp", "--optimizers", "sgd", "--epochs", "1", "--seeds", "2")
    folder = tmp_path / "growing"
    assert cli(*first, "--output", folder)[0] == 0
    second = cli(*first, "--lrs", "1e30", "--output", folder, "--json")
    assert second[0] == 0, second[2]
    report = json.loads(second[1])
    assert sorted((of["learning_rate"], of["seed"], of["diverged"]) for of in report["trials"]) == [
        (0.1, 0, False), (0.1, 1, False), (1e30, 0, True), (1e30, 1, True),
    ]  # fmt: skip
    assert [cell["learning_rate"] for cell in report["best"]] == [0.1]
    assert "diverged" in second[2]
    code, _, err = cli(*first, "--batch-size", "32", "--output", folder)
    assert code == 2
    assert "mlp with batch size 64, not 32" in err


def test_a_loss_that_is_no_number_is_a_result_in_valid_json(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnreg.training.loop.evaluate", lambda *a, **k: (math.inf, 0.1, 9))
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
        assert f"set aside: mlp-digits-adam-0.003-seed0: {said}" in err
        assert f"note: {said}" in err
        got, out, err = cli("compare", "--resume", tmp_path / "x")
        assert got == code
        assert f"adam 0.003, seed 0, failed: {said}" in out
        assert f"error: {said}" in err
        nobody = ("compare", "mlp", "--optimizers", "adam", "--seeds", "1", "--json")
        got, out, _ = cli(*nobody, "--output", tmp_path / "y")
        assert (got, json.loads(out)["error"]["exit"]) == (code, code)
    code, out, err = cli("compare", "--resume", tmp_path / "x", "--json")
    assert code == 0, err
    assert [of["failure"] for of in json.loads(out)["trials"]] == [None] * 4


def test_who_no_longer_reads_is_no_failure_of_a_trial(tmp_path, monkeypatch):
    """As in `cnnreg compare ... | head -1`."""

    def gone(*arguments, **options):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    command = ("compare", "mlp", "--optimizers", "adam", "--epochs", "1", "--seeds", "1")
    with monkeypatch.context() as patch:
        patch.setattr(work, "train_trial", gone)
        assert cli(*command, "--output", tmp_path / "x")[0] == 141
    code, out, err = cli("compare", "--resume", tmp_path / "x", "--json")
    assert code == 0, err
    assert "set aside" not in err
    assert [of["failure"] for of in json.loads(out)["trials"]] == [None]


def test_what_another_worker_has_finished_since_is_no_failure(tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise MachineError("Out of memory.")

    def works_beside_another(self, *given, **options):
        with monkeypatch.context() as patch:
            patch.setattr(work, "train_trial", fails)
            alone(self, *given, **options)
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


def test_the_rate_is_the_networks_own_where_none_is_given(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("learning_rate = 0.25\nepochs = 1\n", encoding="utf-8")
    command = ("compare", "mlp", "--optimizers", "sgd", "--seeds", "1", "--recipe", recipe)
    code, out, err = cli(*command, "--output", tmp_path / "x", "--json")
    assert code == 0, err
    assert [of["learning_rate"] for of in json.loads(out)["trials"]] == [0.25]


@pytest.mark.parametrize("rates, rate", [([], 0.014), ([0.01], 0.01)])
def test_each_optimizer_has_what_suits_it_and_that_is_said(registry, rates, rate, capsys):
    optimizers = ["muon", "adam", "sgd"]
    plan = make_plan(registry, ("airbench94",), ["digits"], optimizers, rates, 1, None, {}, {})
    of = {trial.optimizer: trial for trial in plan.trials()}
    assert [of[name].learning_rate for name in optimizers] == [rate, *(2 * rates or [0.003, 0.1])]
    recipes = plan.recipes["airbench94"]
    assert [recipes[name].weight_decay for name in optimizers] == [0.5, 0, 0]
    said = capsys.readouterr().err
    for name in optimizers[1:]:
        assert said.count(f"note: airbench94: the recipe is for muon; with {name}") == 1
    assert ("learning rate" in said) == (not rates)


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
        (["mlp", "--optimizers", ","], "'--optimizers': it is empty"),
        (["mlp", "--lrs", "0.1,x"], "'--lrs': 'x' is not a valid number"),
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
