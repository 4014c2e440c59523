"""Runs at a glance: each state is told from the run's own files."""

from __future__ import annotations

import json
import shutil

import pytest

from cnnreg.errors import DivergedError, StoppedError
from cnnreg.files import in_use, sole_writer
from cnnreg.recipe import Recipe
from cnnreg.runs.overview import changes, overview, survey
from helpers import make_run, stop_at, train


@pytest.fixture(scope="module")
def finished(registry, tmp_path_factory):
    made = make_run(registry, tmp_path_factory.mktemp("runs") / "finished", epochs=2)
    train(registry, made)
    return made


def test_a_finished_run(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "copy")
    (tmp_path / "copy" / "exports" / "onnx-fp32").mkdir(parents=True)
    (tmp_path / "copy" / "exports" / "onnx-fp32" / "manifest.json").write_text('{"schema": 1}')
    seen = overview(tmp_path / "copy")
    assert (seen.status, seen.network, seen.data) == ("finished", "mlp", "digits")
    assert seen.test_accuracy == finished.result["test_accuracy"]
    assert seen.val_accuracy == finished.result["val_accuracy"]
    assert seen.seconds == finished.result["seconds"]
    assert (seen.epochs, seen.best_epoch) == (2, finished.result["best_epoch"])
    assert seen.exports == ("onnx-fp32",)


def test_a_stopped_run(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=3)
    assert overview(run.folder).status == "stopped before it began"
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(30))
    assert overview(run.folder).status == "stopped after 1 of 3 epochs"


def test_a_run_that_is_being_trained(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=3)
    seen = []
    train(registry, run, on_step=lambda progress: seen.append(overview(run.folder).status))
    assert seen[0] == "being trained (epoch 1 of 3)"
    assert seen[-1] == "being trained (epoch 3 of 3)"


def test_a_run_at_its_pictures_is_being_trained(finished, tmp_path):
    copy = shutil.copytree(finished.folder, tmp_path / "copy")
    (copy / "report.json").unlink()
    with sole_writer(copy):
        assert overview(copy).status == "being trained (making its report)"
    assert overview(copy).status == "stopped before its report"
    shutil.copy(finished.report, copy)
    with sole_writer(copy):  # for an export, say
        assert overview(copy).status == "finished"


def test_a_look_holds_nobody_up(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=3)
    assert not in_use(run.folder)
    assert [path.name for path in run.folder.iterdir()] == ["run.json"]
    with sole_writer(run.folder):
        assert in_use(run.folder)
    assert not in_use(run.folder)
    with sole_writer(run.folder):
        pass


def test_a_diverged_run_until_it_goes_on(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", optimizer="sgd", learning_rate=1e30, epochs=2)
    with pytest.raises(DivergedError):
        train(registry, run)
    assert overview(run.folder).status == "diverged after 0 of 2 epochs"
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(1))
    assert overview(run.folder).state == "stopped"


@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl", "result.json", "failure.json"])
@pytest.mark.parametrize("content", ["{}", "[", "[1]", '{"epoch": "1"}', "\xff"])
def test_a_damaged_run_is_named_not_hidden(finished, tmp_path, name, content):
    copy = tmp_path / "damaged"
    shutil.copytree(finished.folder, tmp_path / "finished")
    shutil.copytree(finished.folder, copy)
    if name == "failure.json":
        (copy / "result.json").unlink()
    (copy / name).write_bytes(content.encode("latin-1"))
    seen = {run.name: run for run in survey(tmp_path)}
    assert seen["finished"].state == "finished"
    assert seen["damaged"].state == "damaged"
    assert seen["damaged"].detail
    assert "\n" not in seen["damaged"].detail


def edited(run, folder, *, accuracy, seconds, created):
    shutil.copytree(run.folder, folder)
    config = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**config, "created": created}))
    record = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    record |= {"val_accuracy": accuracy, "seconds": seconds, "best": True}
    (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")


def test_orders(finished, tmp_path):
    root = tmp_path / "root"
    edited(finished, root / "a", accuracy=0.5, seconds=3, created="2026-01-02T10:00:00+00:00")
    edited(finished, root / "b", accuracy=0.9, seconds=2, created="2026-01-01T10:00:00+00:00")
    edited(finished, root / "c", accuracy=0.7, seconds=1, created="2026-01-02T10:30:00+02:00")
    (root / "d").mkdir()
    (root / "d" / "run.json").write_text("nothing")
    orders = {key: [run.name for run in survey(root, key)] for key in ("date", "accuracy", "time")}
    assert orders == {
        "date": ["a", "c", "b", "d"],
        "accuracy": ["b", "c", "a", "d"],
        "time": ["c", "b", "a", "d"],
    }


def test_changes_of_a_recipe():
    assert changes(Recipe(epochs=3), Recipe()) == {"epochs": (3, 20)}
    assert changes(Recipe(augment="none").plain(), Recipe()) == {"augment": ("none", "auto")}
    even = Recipe(schedule="constant")
    assert changes(even.with_patience(), Recipe()) == {"schedule": ("constant", "one-cycle")}
    assert changes(Recipe(patience=2), Recipe()) == {"patience": (2, 0)}
    assert changes(Recipe(), Recipe(layout="contiguous")) == {"layout": ("auto", "contiguous")}
