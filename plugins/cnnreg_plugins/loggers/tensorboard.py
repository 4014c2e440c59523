"""TensorBoard: event files in the run's folder, for `tensorboard --logdir runs`.

Each epoch is appended to a file that is closed again, so there is no thread, and
nothing to close when training is killed. What has been logged is read back from
the files themselves: going on logs no epoch twice and leaves none out.
https://www.tensorflow.org/tensorboard
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cnnreg import EpochRecord, RunInfo, hookimpl
from cnnreg.runs import read_metrics
from cnnreg.specs import to_data

from .patient import Patient

requires = ("tensorboard",)
extra = "tensorboard"

NAME = "tensorboard"  # of this plugin, by which a run asks for it

FOLDER = "tensorboard"
TAGS = {
    "loss/training": "train_loss",
    "loss/validation": "val_loss",
    "accuracy/training": "train_accuracy",
    "accuracy/validation": "val_accuracy",
    "learning rate": "learning_rate",
    "images per second": "images_per_second",
}
TEST = "accuracy/test"


@hookimpl
def cnnreg_epoch_finished(run: RunInfo, record: EpochRecord) -> None:
    if NAME in run.loggers:
        _log(run)


@hookimpl
def cnnreg_training_finished(run: RunInfo, result: Mapping[str, Any]) -> None:
    if NAME in run.loggers:
        _log(run, result)


def _send(run: RunInfo, result: Mapping[str, Any] | None) -> None:
    folder = run.folder / FOLDER
    folder.mkdir(exist_ok=True)
    logged = _logged(folder)
    events = list(_events(run, logged, result))
    with (folder / _file_name()).open("ab") as file:
        from tensorboard.summary.writer.record_writer import RecordWriter

        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())
    for event in events:
        logged.update((value.tag, event.step) for value in event.summary.value)


_log = Patient(_send)


@cache
def _logged(folder: Path) -> set[tuple[str, int]]:
    """(tag, step) of everything in the folder's files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not any(folder.iterdir()):
        return set()
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    tags = events.Tags()
    found = {(tag, event.step) for tag in tags["scalars"] for event in events.Scalars(tag)}
    return found | {(tag, event.step) for tag in tags["tensors"] for event in events.Tensors(tag)}


def _events(
    run: RunInfo, logged: set[tuple[str, int]], result: Mapping[str, Any] | None
) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    now = time.time()
    history = read_metrics(run.folder)
    if not (Path(run.folder) / FOLDER / _file_name()).exists():
        yield Event(wall_time=now, file_version="brain.Event:2")
    if not logged:
        yield Event(wall_time=now, summary=_hyperparameters(run, Summary))
    for record in history:
        fresh = {tag: field for tag, field in TAGS.items() if (tag, record.epoch) not in logged}
        if fresh:
            values = [
                Summary.Value(tag=tag, simple_value=getattr(record, field))
                for tag, field in fresh.items()
            ]
            yield Event(wall_time=now, step=record.epoch, summary=Summary(value=values))
    if result is not None and history and (TEST, history[-1].epoch) not in logged:
        value = Summary.Value(tag=TEST, simple_value=result["test_accuracy"])
        yield Event(wall_time=now, step=history[-1].epoch, summary=Summary(value=[value]))


def _hyperparameters(run: RunInfo, summary_type: Any) -> Any:
    """The recipe, as TensorBoard's table of hyperparameters wants it."""
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, create_summary_metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    info = SessionStartInfo(group_name=run.folder.name, start_time_secs=time.time())
    settings = {
        "network": run.contract.architecture,
        "data": run.contract.dataset,
        **to_data(run.recipe),
    }
    for name, value in settings.items():
        field = info.hparams[name]
        if isinstance(value, bool):
            field.bool_value = value
        elif isinstance(value, (int, float)):
            field.number_value = value
        else:
            field.string_value = str(value)
    metadata = create_summary_metadata(HParamsPluginData(session_start_info=info))
    return summary_type(value=[summary_type.Value(tag=SESSION_START_INFO_TAG, metadata=metadata)])


@cache
def _file_name() -> str:
    """One a process: TensorBoard reads them in the order of their names."""
    return f"events.out.tfevents.{int(time.time())}.{platform.node()}.{os.getpid()}"
