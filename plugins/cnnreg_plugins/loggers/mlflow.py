"""MLflow: the recipe as parameters, each epoch as metrics, at MLFLOW_TRACKING_URI.

Where that is not set MLflow's own default holds: mlflow.db in the current folder.
A key in <run>/mlflow.json finds the MLflow run again, so going on continues it, and
a server that lost an answer is not given a second one. A training that was stopped
stays "running" there until it goes on.
https://mlflow.org/docs/latest/ml/tracking/
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnreg import EpochRecord, MachineError, ModelFileError, RunInfo, hookimpl
from cnnreg.errors import one_line
from cnnreg.files import read_json, unique, write_json
from cnnreg.runs import read_metrics
from cnnreg.specs import to_data

from .patient import PAUSE, Patient

requires = ("mlflow", "sqlalchemy", "alembic")
extra = "mlflow"

NAME = "mlflow"  # of this plugin, by which a run asks for it

EXPERIMENT = "cnnreg"  # unless MLFLOW_EXPERIMENT_NAME says another
KEY = "cnnreg.key"
NOW = "cnnreg.now."
METRICS = (
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "images_per_second",
)
# Unless the user has set them. MLflow would try a dead server for minutes on end,
# tell of every table it makes, and report its usage to its makers.
SETTINGS = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@hookimpl
def cnnreg_epoch_finished(run: RunInfo, record: EpochRecord) -> None:
    if NAME in run.loggers:
        _log(run)


@hookimpl
def cnnreg_training_finished(run: RunInfo, result: Mapping[str, Any]) -> None:
    if NAME in run.loggers:
        _log(run, result)


@dataclass(slots=True)
class _Place:
    """A training's run at MLflow, and the last epoch it has."""

    client: Any
    run_id: str
    logged: int = 0


def _send(run: RunInfo, result: Mapping[str, Any] | None) -> None:
    try:
        place = _places.pop(run.folder, None) or _open(run)
        _log_epochs(place, run)
        if result is not None:
            place.client.log_metric(place.run_id, "test_accuracy", result["test_accuracy"])
            place.client.log_metric(place.run_id, "best_epoch", result["best_epoch"])
            place.client.set_terminated(place.run_id)
    except Exception as error:
        raise MachineError(
            f"nothing could be logged: {_without_password(one_line(error))[:200]}",
            hint=f"It is tried again every {PAUSE / 60:.0f} minutes, with what is missing.",
        ) from error
    # Kept only after a success: an answer that got lost may have been logged all the same.
    if result is None:
        _places[run.folder] = place


_log = Patient(_send)
_places: dict[Path, _Place] = {}


def _log_epochs(place: _Place, run: RunInfo) -> None:
    from mlflow.entities import Metric

    moment = int(1000 * time.time())
    for record in read_metrics(run.folder)[place.logged :]:
        values = [Metric(name, getattr(record, name), moment, record.epoch) for name in METRICS]
        place.client.log_batch(place.run_id, metrics=values)
        place.logged = record.epoch


def _open(run: RunInfo) -> _Place:
    """Find the training's run at MLflow, or start it."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    card = _card(run.folder)
    client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or card["uri"])
    _write_card(run.folder, card["key"], client.tracking_uri)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    found = client.search_runs([experiment], f"tags.`{KEY}` = '{card['key']}'")
    if found:
        run_id = found[0].info.run_id
    else:
        tags = {KEY: card["key"]}
        made = client.create_run(experiment, tags=tags, run_name=run.folder.name)
        run_id = made.info.run_id
    _log_parameters(client, run_id, {key: str(value) for key, value in _parameters(run).items()})
    steps = [metric.step for metric in client.get_metric_history(run_id, METRICS[-1])]
    return _Place(client, run_id, max(steps, default=0))


def _log_parameters(client: Any, run_id: str, wanted: Mapping[str, str]) -> None:
    """Once each: MLflow lets none be changed, so what a training goes on with is a tag."""
    from mlflow.entities import Param, RunTag

    data = client.get_run(run_id).data
    logged, tags = data.params, data.tags
    client.log_batch(
        run_id,
        params=[Param(key, value) for key, value in wanted.items() if key not in logged],
        tags=[
            RunTag(f"{NOW}{key}", value)
            for key, value in wanted.items()
            if tags.get(f"{NOW}{key}", logged.get(key, value)) != value
        ],
    )


def _card(folder: Path) -> dict[str, Any]:
    """The key of this training, and where it was logged first."""
    path = folder / "mlflow.json"
    if not path.exists():
        _write_card(folder, unique(), None)
    card: dict[str, Any] = read_json(path)
    if not isinstance(card, dict) or not str(card.get("key")).isalnum():
        raise ModelFileError("Damaged: it holds no key.", where=path)
    return {"key": str(card["key"]), "uri": card.get("uri")}


def _write_card(folder: Path, key: str, uri: str | None) -> None:
    place = None if uri is None or "@" in uri else uri  # no password in a file
    write_json(folder / "mlflow.json", {"key": key, "uri": place})


def _without_password(text: str) -> str:
    return re.sub(r"//[^\s/]*@", "//", text)


def _parameters(run: RunInfo) -> dict[str, Any]:
    contract = run.contract
    return {
        "network": contract.architecture,
        "data": contract.dataset,
        "form": contract.form,
        "input": "x".join(map(str, contract.input_shape)),
        "classes": contract.num_classes,
        "dropout": contract.dropout,
        **to_data(run.recipe),
    }
