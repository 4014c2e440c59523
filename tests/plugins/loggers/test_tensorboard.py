"""TensorBoard: what its own reader finds in the run's folder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from cnnreg.errors import StoppedError
from cnnreg.runs import create_run, open_run, read_metrics
from cnnreg_plugins.loggers import tensorboard as plugin
from helpers import cli, make_run, stop_at, train

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.usefixtures("another_process")


@pytest.fixture
def another_process():
    forget()
    yield
    forget()


def forget():
    """What a new process would not know."""
    plugin._logged.cache_clear()
    plugin._file_name.cache_clear()


def logged_run(registry, folder, *, loggers=("tensorboard",), **recipe):
    planned = make_run(registry, folder / "planned", **recipe)
    return create_run(replace(planned.config, loggers=loggers), folder=folder / "run")


def read(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    scalars = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    return scalars, events


def test_every_epoch_and_the_recipe_can_be_read_back(registry, tmp_path):
    run = logged_run(registry, tmp_path, seed=7)
    records = train(registry, run)
    scalars, events = read(run)
    assert [step for step, _ in scalars["loss/validation"]] == [1, 2]
    for tag, name in plugin.TAGS.items():
        values = [value for _, value in scalars[tag]]
        assert values == pytest.approx([getattr(record, name) for record in records])
    assert scalars["accuracy/test"] == [(2, pytest.approx(run.result["test_accuracy"]))]
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["seed"].number_value == 7
    assert settings["network"].string_value == "mlp"


def test_nothing_is_written_where_nobody_asked(registry, tmp_path):
    run = logged_run(registry, tmp_path, loggers=())
    train(registry, run)
    assert not (run.folder / "tensorboard").exists()


def test_going_on_logs_each_epoch_once(registry, tmp_path):
    run = logged_run(registry, tmp_path, epochs=3)
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(30))
    forget()
    plugin._file_name.cache_clear()
    train(registry, open_run(run.folder))
    scalars, _ = read(run)
    for tag in plugin.TAGS:
        assert [step for step, _ in scalars[tag]] == [1, 2, 3]


def test_what_was_not_logged_follows_and_nothing_comes_twice(registry, tmp_path, monkeypatch):
    """As after a kill between saving an epoch and logging it."""
    run = logged_run(registry, tmp_path, epochs=3)
    real, calls = plugin._send, []

    def failing_first(info, result):
        calls.append(len(read_metrics(info.folder)))
        if len(calls) == 1:
            raise OSError("disk full")
        real(info, result)

    monkeypatch.setattr(plugin, "_log", plugin.Patient(failing_first))
    monkeypatch.setattr("cnnreg_plugins.loggers.patient.PAUSE", -1.0)
    notes = []
    train(registry, run, note=notes.append)
    assert calls == [1, 2, 3, 3]
    assert len(notes) == 1
    assert "disk full" in notes[0]
    scalars, _ = read(run)
    assert [step for step, _ in scalars["loss/training"]] == [1, 2, 3]


def test_after_a_failure_there_is_a_pause_and_one_note(registry, tmp_path, monkeypatch):
    calls = []

    def failing(info, result):
        calls.append(result is not None)
        raise OSError("disk full")

    monkeypatch.setattr(plugin, "_log", plugin.Patient(failing))
    notes = []
    train(registry, logged_run(registry, tmp_path, epochs=4), note=notes.append)
    assert calls == [False, True]  # once, and a last time with the result
    assert len(notes) == 1


def test_the_flag_is_kept_in_the_run(tmp_path):
    code, _, err = cli(
        "train", "mlp", "--epochs", "1", "--log", "tensorboard", "--output", tmp_path / "run"
    )
    assert code == 0, err
    assert open_run(tmp_path / "run").config.loggers == ("tensorboard",)
    assert any((tmp_path / "run" / "tensorboard").iterdir())


def test_an_unknown_or_missing_logger_is_named_before_training(tmp_path, monkeypatch):
    code, _, err = cli("train", "mlp", "--log", "tensorbord", "--output", tmp_path / "run")
    assert (code, "Did you mean tensorboard" in err) == (2, True)
    monkeypatch.setattr(plugin, "requires", ("no_such_package",))
    code, _, err = cli("train", "mlp", "--log", "tensorboard", "--output", tmp_path / "run")
    assert (code, "cnn-registry[tensorboard]" in err) == (5, True)
    assert not (tmp_path / "run").exists()


def test_importing_the_loggers_imports_nothing_heavy():
    code = (
        "import sys, cnnreg_plugins.loggers.tensorboard, cnnreg_plugins.loggers.mlflow\n"
        "assert not {'tensorboard', 'mlflow', 'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
