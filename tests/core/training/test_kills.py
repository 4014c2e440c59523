"""Killed at any moment and gone on, a training ends as if it had never been stopped.

Not by the clock: a process ends itself, unasked and without any clean-up, at a given
step or just before a given call that changes what is on the disk.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnnreg.runs import open_run
from cnnreg.training.saving.checkpoint import read_checkpoint
from helpers import make_run, state_of, train

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = {
    "architecture": "simple_cnn",
    "epochs": 3,
    "batch_size": 512,
    "schedule": "one-cycle",
    "ema": 0.9,
    "mixup": 0.2,
    "augment": "crop",
}
STEPS = 3  # an epoch

# Its arguments: the run's folder, the event, and after how many of it death comes; for a
# change of the disk, how many of it from the end of the second epoch on.
DYING = """
import os, sys
from pathlib import Path
import torch
from cnnreg.registry import load_registry
from cnnreg.run_data import data_of_run
from cnnreg.runs import open_run
from cnnreg.training.saving.saver import Saver
from cnnreg.training.trainer import run_training

torch.set_num_threads(1)
folder, event, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = 0

def die_at(name, function):
    def wrapped(*arguments, **options):
        global count
        if name == event:
            count += 1
            if count == number:
                os._exit(9)
        return function(*arguments, **options)
    return wrapped

def save_epoch(self, record, saved=Saver.save_epoch):
    if record.epoch == 2:
        os.fsync = die_at("fsync", os.fsync)
        os.link = die_at("link", os.link)
        Path.replace = die_at("replace", Path.replace)
    saved(self, record)

Saver.save_epoch = save_epoch
registry, run = load_registry(), open_run(folder)
on_step = die_at("step", lambda progress: None)
list(run_training(registry, run, data_of_run(registry, run), on_step=on_step))
"""


def killed(run, event: str, number: int) -> None:
    command = [sys.executable, "-c", DYING, str(run.folder), event, str(number)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 9, done.stderr


@pytest.fixture(scope="module")
def whole(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("whole") / "run", **SETTINGS)
    train(registry, run)
    return run


# The second epoch is the best so far: best is written (1), then last, which becomes the one
# before by a link and a rename of its own (2, 3), then the metrics (4).
@pytest.mark.parametrize(
    ("moments", "at_step"),
    [
        ([("step", 5), ("step", 4)], 6),
        pytest.param([("fsync", 1)], 3, marks=pytest.mark.slow),
        ([("replace", 2)], 3),
        pytest.param([("replace", 3)], 3, marks=pytest.mark.slow),
        ([("replace", 4)], 6),
    ],
)
def test_killed_and_gone_on_equals_never_killed(registry, tmp_path, whole, moments, at_step):
    run = make_run(registry, tmp_path / "run", **SETTINGS)
    for event, number in moments:
        killed(run, event, number)
    assert read_checkpoint(run.last).state["progress"]["step"] == at_step
    said = []
    train(registry, open_run(run.folder), note=said.append)
    assert said == []
    assert state_of(run) == state_of(whole)
    assert run.best.read_bytes() == whole.best.read_bytes()
    assert {p.name for p in run.folder.iterdir()} == {p.name for p in whole.folder.iterdir()}
    timeless = ("epochs", "best_epoch", "val_accuracy", "test_accuracy", "stopped_early")
    assert all(run.result[key] == whole.result[key] for key in timeless)
    assert open_run(run.folder).config.changes == ()
