"""Workers in processes of their own, some of them killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from cnnreg.comparing import study as study_module
from cnnreg.recipe import Recipe
from cnnreg.training.saving import saver
from comparisons import result, trial, work
from helpers import cli
from postgresql import PASSWORD

TESTS = Path(__file__).parents[2]

# Arguments: storage, folder, name, what to do. A line on stdout for each trial it takes.
WORKER = """
import sys, time
from pathlib import Path
import cnnreg.comparing.liveness as liveness
import cnnreg.comparing.study as module
from cnnreg.comparing.database import Database
from cnnreg.training.stopping import StopRequest
from comparisons import result, trial

storage, folder, name, behaviour = sys.argv[1:]
if behaviour == "hang elsewhere":
    liveness.machine = lambda: "another machine"

def train(taken):
    print(taken.name, flush=True)
    if behaviour.startswith("hang"):
        time.sleep(600)
    return result(taken)

study = module.Study(Database(storage or None, Path(folder)), name, heartbeat=1)
study.join({}, [trial(seed=seed) for seed in range(6)])
study.work(train, stop=StopRequest())
study.close()
"""


def start(storage, folder, name, behaviour="train"):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, storage or "", str(folder), name, behaviour],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )  # fmt: skip


def test_workers_that_start_at_once_share_the_trials(storage, tmp_path, request, opened):
    workers = [start(storage, tmp_path, request.node.name) for _ in range(2)]
    taken = []
    for worker in workers:
        out, err = worker.communicate(timeout=120)
        assert (worker.returncode, err) == (0, ""), err
        taken += out.split()
    assert sorted(taken) == [trial(seed=seed).name for seed in range(6)]
    study = opened()
    assert study.results() == [result(trial(seed=seed)) for seed in range(6)]
    assert len(study._trials()) == 6


@pytest.mark.parametrize(
    ("storage", "behaviour"),
    [("sqlite", "hang"), ("postgresql", "hang elsewhere")],
    indirect=["storage"],
)
def test_a_killed_workers_trial_is_taken_up_again(
    behaviour, storage, tmp_path, request, opened, monkeypatch
):
    """At once on this machine; of another one the heartbeat tells, three of them left out."""
    victim = start(storage, tmp_path, request.node.name, behaviour)
    lost = victim.stdout.readline().strip()
    assert lost == trial(seed=0).name
    victim.kill()
    victim.communicate()
    taken, pauses = [], []
    pause = study_module._pause
    monkeypatch.setattr(
        study_module, "_pause", lambda *arguments: (pauses.append(1), pause(*arguments))
    )
    study = opened()
    notes = []
    work(study, lambda of: taken.append(of.name) or result(of), note=notes.append)
    assert taken == [trial(seed=seed).name for seed in (1, 2, 3, 4, 5, 0)]
    assert study.results() == [result(trial(seed=seed)) for seed in range(6)]
    assert notes == ["waiting for 1 trials of other workers"] * bool(pauses)
    if behaviour == "hang":
        assert not pauses


COMMAND = """
import sys, time
import cnnreg.comparing.liveness as liveness
import cnnreg.comparing.work as work
import cnnreg.training.saving.saver as saver
from cnnreg.cli import main

name, *arguments = sys.argv[1:]
liveness.machine = lambda: name
if name == "victim":
    def hang(*_, **__):
        print("taken", file=sys.__stdout__, flush=True)
        time.sleep(600)
    work.train_trial = hang
saver.Saver.draw = lambda self: None
main(arguments)
"""


def compare(machine, folder, storage):
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, machine, "compare", "mlp", "--optimizers", "adam,sgd",
         "--seeds", "2", "--epochs", "1", "--heartbeat", "1", "--output", str(folder), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "CNNREG_STORAGE": storage, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_two_machines_with_the_whole_command_one_of_them_killed(postgresql_url, tmp_path):
    folders = [tmp_path / machine / "together" for machine in ("victim", "survivor")]
    victim, survivor = (compare(f.parent.name, f, postgresql_url) for f in folders)
    assert victim.stdout.readline() == "taken\n"
    victim.kill()
    victim.communicate()
    out, err = survivor.communicate(timeout=120)
    assert survivor.returncode == 0, err
    report = json.loads(out)
    assert sorted((of["optimizer"], of["seed"]) for of in report["trials"]) == [
        ("adam", 0), ("adam", 1), ("sgd", 0), ("sgd", 1),
    ]  # fmt: skip
    assert len(list((folders[1] / "runs").glob("*/result.json"))) == 4
    written = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    secrets = (PASSWORD, quote(PASSWORD, safe=""))
    for text in (out, err, *(path.read_bytes().decode("latin-1") for path in written)):
        assert not [secret for secret in secrets if secret in text]


KILLED = """
import sys, time
import cnnreg.training.saving.saver as saver
from cnnreg.cli import main

def save_and_hang(self, record, save=saver.Saver.save_epoch):
    save(self, record)
    print("saved", file=sys.__stdout__, flush=True)
    time.sleep(600)

saver.Saver.save_epoch = save_and_hang
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "storage", [pytest.param("sqlite", marks=pytest.mark.slow), "postgresql"], indirect=True
)
@pytest.mark.usefixtures("one_thread")
def test_a_killed_training_goes_on_from_its_last_checkpoint(storage, tmp_path, monkeypatch):
    """On the same machine, in the same folder, with the figures of one that was not killed."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(saver.Saver, "draw", lambda self: None)
    command = ["compare", "mlp", "--optimizers", "adam", "--seeds", "2", "--epochs", "2"]
    folder = tmp_path / f"killed-{storage is None}"
    shared = ["--output", str(folder), *(["--storage", storage] if storage else [])]
    victim = subprocess.Popen(
        [sys.executable, "-c", KILLED, *command, *shared], stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout.readline() == "saved\n"
    victim.kill()
    victim.communicate()
    saved, save = [], saver.Saver.save_epoch

    def save_epoch(self, record):
        saved.append((self.run.name, record.epoch))
        save(self, record)

    monkeypatch.setattr(saver.Saver, "save_epoch", save_epoch)
    reports = []
    for output in (shared, ["--output", str(tmp_path / "whole")]):
        code, out, err = cli(*command, *output, "--json")
        assert code == 0, err
        reports.append(json.loads(out)["trials"])
        for of in reports[-1]:
            del of["seconds"]
    first, second = (trial("adam", Recipe().learning_rate, seed).name for seed in range(2))
    assert saved[:3] == [(second, 1), (second, 2), (first, 2)]
    assert reports[0] == reports[1]
