"""Several processes make what one would, up to rounding, and end together."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cnnreg.errors import UsageError
from cnnreg.recipe import Recipe
from cnnreg.runs import open_run
from cnnreg.training.distributed.launch import world_of
from cnnreg.training.distributed.world import ALONE, World
from cnnreg.training.feeding.batches import Batch, Normalise, TrainingBatches, evaluation_batches
from cnnreg.training.saving.checkpoint import read_checkpoint
from cnnreg.training.stopping import StopRequest
from together import RECIPES, registry_with_tiny, trained

TESTS = Path(__file__).parents[3]
DEADLINE = 240.0  # seconds: far more than it takes, so that a hang fails


def torchrun(*arguments: str | Path, processes: int = 2) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [sys.executable, *launcher, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def ended(started: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = started.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        started.kill()
        raise
    return started.returncode, out, err


# --- Without other processes --------------------------------------------------------------


ENVIRONMENT = {
    "WORLD_SIZE": "4",
    "RANK": "3",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "29500",
}


def test_torchrun_tells_each_process_its_place():
    assert world_of(ENVIRONMENT) == World(3, 4, 1)
    assert world_of({}) == world_of({"WORLD_SIZE": "1"}) == ALONE


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"MASTER_ADDR": ""}, "not MASTER_ADDR"),
        ({"RANK": "", "LOCAL_RANK": ""}, "not RANK, LOCAL_RANK"),
        ({"RANK": "4"}, "no process 4 among 4"),
        ({"WORLD_SIZE": "two"}, "two"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(changes, said):
    with pytest.raises(UsageError, match=said):
        world_of({**ENVIRONMENT, **changes})


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("total", [5, 7, 10, 16])
@pytest.mark.parametrize("parts", [2, 3])
def test_a_batch_is_cut_as_one_process_would_cut_it(size, total, parts):
    whole = torch.arange(total)
    expected = [set(piece.labels.tolist()) for piece in Batch(whole, whole, total).split(parts)]
    worlds = [World(rank, size) for rank in range(size)]
    shares = [list(Batch(w.part(whole), w.part(whole), total).split(parts, w)) for w in worlds]
    assert all(len(piece.labels) for share in shares for piece in share)
    together = [
        set().union(*(p.labels.tolist() for p in pieces)) for pieces in zip(*shares, strict=True)
    ]
    if total // parts >= size:
        assert together == expected
    assert set().union(*together) == set(range(total))


@pytest.mark.parametrize("count", [9, 10, 17])
def test_each_image_is_validated_once_in_equally_many_batches(count):
    pixels = np.zeros((count, 2, 2, 1), np.uint8)
    made = [
        list(
            evaluation_batches(
                pixels,
                np.arange(count),
                Normalise((0.0,), (1.0,)),
                batch_size=4,
                world=World(rank, 2),
            )
        )
        for rank in range(2)
    ]
    assert len(made[0]) == len(made[1])
    seen = [int(label) for batches in made for batch in batches for label in batch.labels]
    assert sorted(seen) == list(range(count))


def test_another_number_of_processes_goes_on_with_the_images_that_are_left():
    """Four processes put the last 2 of 18 images into the batch before, one does not."""
    settings = {"recipe": Recipe(batch_size=8), "augment": "none"}
    pixels, labels = np.zeros((18, 2, 2, 1), np.uint8), np.arange(18)
    normalise = Normalise((0.0,), (1.0,))
    one = TrainingBatches(pixels, labels, normalise=normalise, **settings)
    four = TrainingBatches(pixels, labels, normalise=normalise, world=World(0, 4), **settings)
    assert (len(one), len(four)) == (3, 2)
    assert [batch.total for batch in one.epoch(0, start=16)] == [2]
    assert [batch.total for batch in four.epoch(0, start=8)] == [10]
    assert list(four.epoch(0, start=18)) == []


def test_a_stop_learnt_from_another_process_is_not_a_second_signal():
    class Asked(World):
        def largest(self, number):
            return max(number, signal.SIGINT)

    with StopRequest() as stop:
        assert stop.asked_anywhere(Asked())
        assert stop.by_user
        signal.raise_signal(signal.SIGTERM)  # torchrun's own, which comes a little later
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


# --- Two processes ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """The folder in which two processes have done all that together.py says."""
    folder = tmp_path_factory.mktemp("together")
    code, _, err = ended(torchrun(TESTS / "together.py", "everything", folder))
    assert code == 0, err
    return folder


@pytest.mark.parametrize("momentum", [0.1, None])
def test_norm_of_uneven_parts_equals_the_norm_of_the_whole(outcome, momentum):
    first, second = (load_file(outcome / f"norm-{momentum}-{rank}") for rank in range(2))
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3, momentum=momentum)
    nn.init.normal_(norm.weight)
    for number in range(3):
        images = (100 + 5 * torch.randn(7, 3, 4, 4)).requires_grad_()
        result = norm(images)
        (result * torch.randn(7, 3, 4, 4)).sum().backward()
        for name, expected in ("result", result), ("gradient", images.grad):
            made = torch.cat([first[f"{name} {number}"], second[f"{name} {number}"]])
            torch.testing.assert_close(made, expected, atol=2e-5, rtol=1e-4)
    for name, parameter in norm.named_parameters():
        made = first[name] + second[name]  # gradients are summed later, over all processes
        torch.testing.assert_close(made, parameter.grad, atol=2e-4, rtol=1e-4)
    for name, buffer in norm.named_buffers():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], buffer, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("name", list(RECIPES))
def test_two_processes_train_what_one_would(outcome, tmp_path, name):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = trained(registry_with_tiny(), tmp_path / "run", **RECIPES[name])
    torch.set_num_threads(threads)
    together = open_run(outcome / name)
    for path in ("last", "best"):
        ours, theirs = (read_checkpoint(getattr(run, path)) for run in (together, alone))
        assert ours.model.keys() == theirs.model.keys()
        for key, tensor in theirs.model.items():
            torch.testing.assert_close(ours.model[key], tensor, atol=1e-6, rtol=1e-5)
    for ours, theirs in zip(*map(history, (together, alone)), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    assert together.result["test_accuracy"] == alone.result["test_accuracy"]


def history(run) -> list[dict[str, float]]:
    records = read_checkpoint(run.last).state["progress"]["history"]
    return [{k: v for k, v in r.items() if "seconds" not in k and "per" not in k} for r in records]


def test_one_process_alone_writes(outcome):
    assert not list(outcome.glob("*/not-for-this-process"))
    runs = [path.parent for path in outcome.glob("*/run.json")]
    assert len(runs) == 4
    for run in runs:
        names = {path.name for path in run.iterdir()}
        assert names >= {"best.safetensors", "last.safetensors", "report.json", "run.json"}


def test_all_stop_at_the_step_in_which_one_was_asked(outcome):
    for rank in range(2):
        said = (outcome / f"stopped-{rank}").read_text()
        assert said.startswith("130 Stopped at epoch 1, step 2/3")


def test_stopped_and_resumed_together_equals_never_stopped(outcome):
    """simple_cnn drops out: each process has a random stream that must go on."""
    whole, parts = (
        read_checkpoint(outcome / name / "last.safetensors") for name in ("whole", "parts")
    )
    for tensors in ("model", "extra"):
        ours, theirs = getattr(parts, tensors), getattr(whole, tensors)
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    best = [(outcome / name / "best.safetensors").read_bytes() for name in ("whole", "parts")]
    assert best[0] == best[1]
    streams = [whole.extra[f"rng/torch/{rank}"] for rank in range(2)]
    assert not torch.equal(*streams)
    assert whole.state["made_with"]["processes"] == 2


def test_an_error_in_one_process_is_said_once(tmp_path):
    from PIL import Image

    for label in "ab":
        (tmp_path / "0" / label).mkdir(parents=True)
        for number in range(20):
            Image.new("L", (8, 8), 9 * number).save(tmp_path / "0" / label / f"{number}.png")
    code, out, err = ended(torchrun(TESTS / "together.py", "faulty", tmp_path))
    assert code != 0
    assert out == ""
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, err
    assert "where: process 1 on" in err


@pytest.mark.slow
def test_more_processes_than_images_in_a_batch_leave_no_run(tmp_path):
    line = ["train", "mlp", "--batch-size", "2", "--output", tmp_path / "run"]
    code, out, err = ended(torchrun("-m", "cnnreg", *line, processes=3))
    assert code != 0
    assert out == ""
    assert err.count("error: 3 processes need") == err.count("error:") == 1, err
    assert not (tmp_path / "run").exists()


def begun(folder: Path) -> tuple[subprocess.Popen[str], dict[str, psutil.Process]]:
    """Two processes in the middle of a long training, by rank."""
    line = ["train", "mlp", "--epochs", "5000", "--patience", "0", "--precision", "fp32"]
    started = torchrun("-m", "cnnreg", *line, "--output", folder)
    end = monotonic() + DEADLINE
    while not (folder / "metrics.jsonl").exists():
        assert started.poll() is None, started.communicate()[1]
        assert monotonic() < end
        sleep(0.1)
    children = psutil.Process(started.pid).children()
    return started, {child.environ()["RANK"]: child for child in children}


def step_of(folder: Path) -> int:
    return int(read_checkpoint(folder / "last.safetensors").state["progress"]["step"])


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_killed_process_ends_all_and_another_number_goes_on(tmp_path, rank):
    folder = tmp_path / "run"
    started, processes = begun(folder)
    processes[rank].kill()
    code, _, err = ended(started)
    assert code != 0
    assert err.count("error:") <= 1, err
    assert not any(process.is_running() for process in processes.values())
    saved = step_of(folder)
    assert saved % 21 == 0  # the border of an epoch
    shorter = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    shorter["recipe"]["epochs"] = saved // 21 + 1
    (folder / "run.json").write_text(json.dumps(shorter), encoding="utf-8")
    code, out, err = ended(torchrun("-m", "cnnreg", "resume", folder, "--json", processes=3))
    assert code == 0, err
    assert json.loads(out)["epochs"] == saved // 21 + 1
    assert err.count("not bit-exact: processes was 2, is 3") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal to send to a process")
@pytest.mark.parametrize("target", ["torchrun", "1"])
def test_a_signal_to_any_of_them_saves_and_stops_all(tmp_path, target):
    folder = tmp_path / "run"
    started, processes = begun(folder)
    {"torchrun": started, **processes}[target].send_signal(signal.SIGTERM)
    code, out, err = ended(started)
    assert code != 0
    assert out == ""
    assert err.count("error: Stopped") == err.count("error:") == 1, err
    assert "all is saved" in err
    epoch, step = re.search(r"epoch (\d+), step (\d+)/21", err).groups()
    assert step_of(folder) == 21 * (int(epoch) - 1) + int(step)
