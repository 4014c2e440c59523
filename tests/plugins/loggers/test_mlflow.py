"""MLflow: what its own client finds in a store in a file."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace

import pytest

from cnnreg.errors import StoppedError
from cnnreg.runs import create_run, open_run
from cnnreg_plugins.loggers import mlflow as plugin
from cnnreg_plugins.loggers.patient import Patient
from helpers import make_run, stop_at, train

pytest.importorskip("mlflow")


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    """MLflow reads the environment; what the plugin sets there ends with the test."""
    for name in plugin.SETTINGS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    yield
    plugin._places.clear()
    for name in plugin.SETTINGS:
        os.environ.pop(name, None)


@pytest.fixture
def store(tmp_path, monkeypatch):
    uri = f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def logged_run(registry, folder, **recipe):
    planned = make_run(registry, folder / "planned", **recipe)
    return create_run(replace(planned.config, loggers=("mlflow",)), folder=folder / "run")


def found(store):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("cnnreg")
    return client, client.search_runs([experiment.experiment_id])


def steps(client, run_id, name):
    return sorted(metric.step for metric in client.get_metric_history(run_id, name))


def test_recipe_epochs_and_result_can_be_read_back(registry, tmp_path, store):
    run = logged_run(registry, tmp_path, seed=7)
    records = train(registry, run)
    client, (seen,) = found(store)
    assert seen.info.run_name == "run"
    assert seen.info.status == "FINISHED"
    assert seen.data.params["seed"] == "7"
    assert seen.data.params["network"] == "mlp"
    assert seen.data.metrics["test_accuracy"] == run.result["test_accuracy"]
    history = client.get_metric_history(seen.info.run_id, "val_loss")
    assert sorted((metric.step, metric.value) for metric in history) == [
        (record.epoch, record.val_loss) for record in records
    ]


def test_going_on_continues_the_same_run_and_logs_each_epoch_once(
    registry, tmp_path, store, monkeypatch
):
    run = logged_run(registry, tmp_path, epochs=3)
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(30))
    _, (before,) = found(store)
    assert before.info.status == "RUNNING"
    plugin._places.clear()  # another process
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # the run remembers where
    train(registry, open_run(run.folder))
    client, (seen,) = found(store)
    assert seen.info.run_id == before.info.run_id
    for name in plugin.METRICS:
        assert steps(client, seen.info.run_id, name) == [1, 2, 3]


def test_going_on_with_another_recipe_tells_what_it_is_now(registry, tmp_path, store):
    """MLflow refuses a parameter that is logged with another value, and all that comes with it."""
    run = logged_run(registry, tmp_path, epochs=1)
    train(registry, run)
    plugin._places.clear()  # another process
    longer = replace(run.config.recipe, epochs=2)
    said = []
    train(registry, open_run(run.folder).changed(recipe=longer), note=said.append)
    client, (seen,) = found(store)
    assert not [text for text in said if "mlflow" in text.lower()]
    assert steps(client, seen.info.run_id, "val_loss") == [1, 2]
    assert (seen.data.params["epochs"], seen.data.tags["cnnreg.now.epochs"]) == ("1", "2")
    assert "cnnreg.now.seed" not in seen.data.tags
    plugin._log_parameters(client, seen.info.run_id, {"epochs": "1"})
    assert client.get_run(seen.info.run_id).data.tags["cnnreg.now.epochs"] == "1"


def test_an_answer_that_got_lost_is_not_sent_twice(registry, tmp_path, store, monkeypatch):
    from mlflow.tracking import MlflowClient

    lost = []

    def losing(name):
        real = getattr(MlflowClient, name)

        def call(self, *arguments, **options):
            answer = real(self, *arguments, **options)
            if name not in lost and (name != "log_batch" or "metrics" in options):
                lost.append(name)
                raise TimeoutError("read timed out")
            return answer

        monkeypatch.setattr(MlflowClient, name, call)

    losing("create_run")
    losing("log_batch")
    monkeypatch.setattr("cnnreg_plugins.loggers.patient.PAUSE", -1.0)
    run = logged_run(registry, tmp_path, epochs=4)
    train(registry, run)
    assert lost == ["create_run", "log_batch"]
    client, (seen,) = found(store)
    for name in plugin.METRICS:
        assert steps(client, seen.info.run_id, name) == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["refusing", "silent"])
def test_a_dead_server_costs_one_note(registry, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(plugin, "_log", Patient(plugin._send))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if kind == "refusing":
            server.close()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        notes = []
        run = logged_run(registry, tmp_path, epochs=4)
        assert len(train(registry, run, note=notes.append)) == 4
    assert run.result is not None
    assert len(notes) == 1
    assert "nothing could be logged" in notes[0]
    assert "tried again" in notes[0]
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"


def test_no_password_is_kept(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(plugin, "_log", Patient(plugin._send))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    run = logged_run(registry, tmp_path, epochs=1)
    notes = []
    train(registry, run, note=notes.append)
    assert "secret" not in (run.folder / "mlflow.json").read_text()
    assert "secret" not in "".join(notes)


def test_a_damaged_card_is_an_error_of_its_own(registry, tmp_path, store, monkeypatch):
    monkeypatch.setattr(plugin, "_log", Patient(plugin._send))
    run = logged_run(registry, tmp_path, epochs=1)
    (run.folder / "mlflow.json").write_text(json.dumps({"key": "' or 1"}))
    notes = []
    train(registry, run, note=notes.append)
    assert "holds no key" in notes[0]
