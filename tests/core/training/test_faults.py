"""Disks that fill up or vanish, numbers that are none: said in a line, nothing lost."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cnnreg.errors import DivergedError, MachineError, StoppedError
from cnnreg.runs import open_run
from cnnreg.training.saving.checkpoint import read_checkpoint
from helpers import cli, make_run, stop_at, train

pytestmark = pytest.mark.usefixtures("one_thread")
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX")


def test_without_room_for_the_checkpoints_nothing_starts(registry, tmp_path, monkeypatch):
    class Usage:
        free = 1_000_000

    run = make_run(registry, tmp_path / "run")
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    with pytest.raises(MachineError, match=r"Disk full: needs \d+\.\d MB, 1\.0 MB free") as caught:
        train(registry, run, on_step=lambda progress: pytest.fail("a step was made"))
    assert caught.value.exit_code == 5
    assert not run.last.exists()


LIMITED = """
import resource, sys
from pathlib import Path
from cnnreg.cli import main
from cnnreg.training.saving.saver import Saver

def save_epoch(self, record, saved=Saver.save_epoch):
    if record.epoch == 2:  # no file may grow beyond this, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    saved(self, record)

Saver.save_epoch = save_epoch
main(["resume", sys.argv[1]])
"""


@posix
@pytest.mark.parametrize("limit", [0, pytest.param(450_000, marks=pytest.mark.slow)])
def test_a_save_that_fails_keeps_what_was_saved(registry, tmp_path, limit):
    """The limit is hit by the best checkpoint, or by the larger last one alone."""
    run = make_run(registry, tmp_path / "run")
    command = [sys.executable, "-c", LIMITED, str(run.folder), str(limit)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 5, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert read_checkpoint(run.last).state["progress"]["epoch"] == 1
    assert read_checkpoint(run.best).state["epoch"] in (1, 2)
    assert not list(run.folder.glob(".cnnreg-tmp*"))
    assert len(train(registry, open_run(run.folder))) == 1


FULL = """
set -e
mount -t tmpfs -o size=1m none "$1"
"$2" -m cnnreg train mlp --epochs 1 --output "$1/run"
"""


def test_a_disk_that_is_full_says_the_numbers(tmp_path):
    can = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs none "$0"', str(tmp_path)]
    if (
        not shutil.which("unshare")
        or subprocess.run(can, check=False, capture_output=True).returncode
    ):
        pytest.skip("no private mounts here")
    command = ["unshare", "-rm", "sh", "-c", FULL, "sh", str(tmp_path), sys.executable]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 5, done.stderr
    assert "Disk full: needs" in done.stderr
    assert "1.0 MB free" in done.stderr


READ_ONLY = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
"$2" -m cnnreg resume "$1"
"""


def test_a_run_that_is_read_only_fails_before_the_first_epoch(registry, tmp_path):
    can = ["unshare", "-rm", "sh", "-c", 'mount --bind "$0" "$0"', str(tmp_path)]
    if (
        not shutil.which("unshare")
        or subprocess.run(can, check=False, capture_output=True).returncode
    ):
        pytest.skip("no private mounts here")
    run = make_run(registry, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.folder.iterdir()}
    command = ["unshare", "-rm", "sh", "-c", READ_ONLY, "sh", str(run.folder), sys.executable]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 5, done.stderr
    assert "Read-only file system" in done.stderr
    assert "epoch" not in done.stderr.split("error")[0].split("seed")[-1]
    assert {path: path.read_bytes() for path in run.folder.iterdir()} == before


@posix
def test_a_folder_that_vanishes_ends_the_run(registry, tmp_path):
    run = make_run(registry, tmp_path / "runs" / "run")

    def vanish(progress):
        if progress.step == 2:
            shutil.rmtree(tmp_path / "runs")

    with pytest.raises(MachineError, match="folder is gone") as caught:
        train(registry, run, on_step=vanish)
    assert caught.value.exit_code == 5
    assert list(tmp_path.glob("runs*")) == []


def test_two_processes_cannot_train_one_run(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    outcome = []

    def another(progress):
        if progress.step == 3:
            outcome.append(cli("resume", run.folder))

    train(registry, run, on_step=another)
    ((code, _, err),) = outcome
    assert code == 5
    assert "In use by another process" in err
    assert "Wait until it has ended" in err


@posix
def test_a_lock_that_is_a_link_harms_nothing(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    (tmp_path / "precious").write_text("mine")
    (run.folder / ".cnnreg-lock").symlink_to(tmp_path / "precious")
    with pytest.raises(MachineError):
        train(registry, run)
    assert (tmp_path / "precious").read_text() == "mine"


LEVERS = [
    {},
    {"ema": 0.9},
    {"precision": "bf16"},
    {"mixup": 0.4},
    {"cutmix": 1.0, "accumulate": 2},
    {"clip": 1.0},
    {"class_weights": "balanced", "label_smoothing": 0.1},
    {"optimizer": "adam"},
]


@pytest.mark.parametrize("levers", LEVERS, ids=lambda levers: "-".join(levers) or "plain")
def test_a_loss_that_is_no_number_names_step_rate_and_last_checkpoint(registry, tmp_path, levers):
    """Weights that are no numbers in the second epoch, as after a step too far."""
    even = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 0.01}
    run = make_run(registry, tmp_path / "run", **{**even, **levers})
    models = []

    def poison(progress):
        if progress.step == 24:
            with torch.no_grad():
                next(models[0].parameters()).fill_(math.nan)

    with pytest.MonkeyPatch.context() as patch:
        from cnnreg.training import preparing

        build = preparing.build_model
        patch.setattr(preparing, "build_model", lambda *a: models.append(build(*a)) or models[-1])
        with pytest.raises(DivergedError) as caught:
            train(registry, run, on_step=poison)
    assert caught.value.exit_code == 7
    assert "nan at epoch 2, step 4, learning rate 0.01; last good checkpoint: epoch 1" in str(
        caught.value
    )
    assert all(t.isfinite().all() for t in read_checkpoint(run.best).model.values())
    assert read_checkpoint(run.last).state["progress"]["epoch"] == 1
    assert len(train(registry, open_run(run.folder))) == 1


@pytest.mark.parametrize(("broken", "best"), [((2,), 1), ((1,), 2)])
def test_a_validation_loss_that_is_no_number_is_never_the_best(
    registry, tmp_path, monkeypatch, broken, best
):
    from cnnreg.training import loop

    calls, evaluate = [], loop.evaluate

    def sometimes(*arguments, **options):
        calls.append(1)
        return (math.nan, 1.0, 9) if len(calls) in broken else evaluate(*arguments, **options)

    monkeypatch.setattr(loop, "evaluate", sometimes)
    run = make_run(registry, tmp_path / "run")
    train(registry, run)
    assert run.result["best_epoch"] == read_checkpoint(run.best).state["epoch"] == best
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [record["val_loss"] is None for record in records] == [n in broken for n in (1, 2)]


def test_validation_that_never_is_a_number_diverged(registry, tmp_path, monkeypatch):
    monkeypatch.setattr("cnnreg.training.loop.evaluate", lambda *a, **k: (math.nan, 0.9, 9))
    run = make_run(registry, tmp_path / "run")
    with pytest.raises(DivergedError, match="No epoch had a validation loss"):
        train(registry, run)
    assert run.result is None
    assert not run.best.exists()


TWICE = """
import os, signal, sys
from cnnreg.cli import main
from cnnreg.cli.progress import TrainingProgress

def step(self, state):
    if state.step == 3:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

TrainingProgress.step = step
main(["resume", sys.argv[1]])
"""


@posix
def test_a_second_interrupt_ends_at_once_and_loses_but_what_was_not_saved(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=1)
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(2))
    command = [sys.executable, "-c", TWICE, str(run.folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert read_checkpoint(run.last).state["progress"]["step"] == 2
    assert len(train(registry, open_run(run.folder))) == 1


def test_arithmetic_is_deterministic_inside_and_as_before_after(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    seen = []

    def look(progress):
        seen.append(
            (
                torch.are_deterministic_algorithms_enabled(),
                torch.utils.deterministic.fill_uninitialized_memory,
                torch.backends.cudnn.deterministic,
                torch.backends.cudnn.benchmark,
                torch.backends.cudnn.allow_tf32,
            )
        )

    train(registry, make_run(registry, tmp_path / "run", epochs=1), on_step=look)
    assert set(seen) == {(True, False, True, False, False)}
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert not torch.backends.cudnn.deterministic
    assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.allow_tf32


def test_the_run_keeps_which_image_is_in_which_split(registry, tmp_path):
    from PIL import Image

    from cnnreg.data import DataConfig
    from cnnreg.planning import plan
    from cnnreg.recipe import Recipe
    from cnnreg.runs import create_run

    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            image = Image.new("RGB", (32, 32), (number, 0, 255 * (label == "cat")))
            image.save(tmp_path / "photos" / label / f"{number}\n{number}.png")
    data = DataConfig(name="folder", folder=tmp_path / "photos")
    recipe = Recipe(epochs=1, precision="fp32", layout="channels-last", compile="off")
    config, dataset = plan(registry, "mlp", data, recipe)
    run = create_run(config, folder=tmp_path / "run")
    train(registry, run)
    listed = [tuple(json.loads(line)) for line in run.images.read_text().splitlines()]
    assert listed == list(dataset.listing())
    assert len(listed) == 40
    assert {split for split, _, _ in listed} == {"train", "val", "test"}
    photos = Path(tmp_path / "photos")
    assert all((photos / name).stat().st_size == size for _, size, name in listed)
