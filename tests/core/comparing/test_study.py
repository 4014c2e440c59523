"""Any number of workers on one study, in SQLite and in a real PostgreSQL; some of them die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import weakref
from pathlib import Path
from urllib.parse import quote

import pytest
import torch
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from cnnreg.comparing import database as database_module
from cnnreg.comparing import liveness
from cnnreg.comparing import study as study_module
from cnnreg.comparing.database import Database
from cnnreg.comparing.results import failed_result
from cnnreg.comparing.study import Study
from cnnreg.errors import InUseError, MachineError, StoppedError, UsageError
from cnnreg.training import saver
from cnnreg.training.stopping import StopRequest
from comparisons import result, trial
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


@pytest.fixture
def opened(storage, tmp_path, request):
    """Makes studies that are closed afterwards."""
    made = []

    def make(**options):
        database = Database(storage, tmp_path)
        made.append(Study(database, request.node.name, **{"heartbeat": 1, **options}))
        return made[-1]

    yield make
    for study in made:
        study.close()


def work(study, train=result, **options):
    study.work(train, stop=StopRequest(), **options)


def test_results_come_back_whole_and_in_order(opened):
    study = opened()
    trials = [trial(seed=seed) for seed in range(3)]
    study.join({}, trials)
    outcomes = {trials[0]: 0.5, trials[1]: None, trials[2]: 0.7}
    work(study, lambda taken: result(taken, outcomes[taken]))
    assert opened().results() == [result(of, value) for of, value in outcomes.items()]
    assert study.count() == (3, 3)


def test_joining_again_adds_only_what_is_new(opened):
    study = opened()
    study.join({}, [trial(seed=0)])
    work(study)
    taken = []
    again = opened()
    again.join({}, [trial(seed=0), trial(seed=1)])
    work(again, lambda of: taken.append(of.name) or result(of))
    assert taken == [trial(seed=1).name]
    assert again.count() == (2, 2)


def test_queueing_may_take_longer_than_the_lock_may_be_silent(opened, monkeypatch):
    """A distant server's round trips add up to more than it lets a holder be idle."""
    monkeypatch.setattr(database_module, "SILENCE", "1s")
    study, add = opened(), study_module.optuna.Study.add_trial
    monkeypatch.setattr(
        study_module.optuna.Study, "add_trial", lambda *given: (time.sleep(0.5), add(*given))
    )
    study.join({}, [trial(seed=seed) for seed in range(4)])
    assert study.count() == (0, 4)


def test_other_settings_are_refused_and_nothing_is_added(opened):
    opened().join({"recipe/mlp": ("mlp", {"epochs": 3})}, [trial()])
    study = opened()
    with pytest.raises(UsageError, match="mlp with epochs 3, not 4"):
        study.join({"recipe/mlp": ("mlp", {"epochs": 4})}, [trial(seed=7)])
    assert study.count() == (0, 1)
    assert study.setting("recipe/mlp") == {"epochs": 3}
    with pytest.raises(UsageError, match="holds no 'recipe/vgg11'"):
        study.setting("recipe/vgg11")


def test_a_trial_that_fails_is_set_aside_and_the_others_are_trained(opened):
    study = opened()
    study.join({}, [trial(seed=seed) for seed in range(3)])
    taken, notes = [], []

    def train(of):
        taken.append(of.seed)
        if of.seed == 0:
            raise MachineError("Out of memory.", hint="Try a smaller --batch-size.")
        return result(of)

    work(study, train, note=notes.append)
    assert taken == [0, 1, 2]
    assert notes == [f"set aside: {trial(seed=0).name}: Out of memory. Try a smaller --batch-size."]
    assert [error.exit_code for error in study.failures.values()] == [5]
    failed = failed_result(trial(seed=0), "Out of memory.")
    assert opened().results() == [failed, *(result(trial(seed=seed)) for seed in (1, 2))]
    other = opened()  # a worker that may have more memory, or the same command once more
    work(other, train)
    assert (taken[3:], len(other.failures)) == ([0], 1)
    work(study)
    assert study.results() == [result(trial(seed=seed)) for seed in range(3)]
    assert study.failures == {}


def test_what_a_failed_training_held_is_let_go(opened):
    study = opened()
    study.join({}, [trial()])
    held = []

    def train(of):
        network = torch.zeros(1)
        held.append(weakref.ref(network))
        try:
            network.view(7)
        except RuntimeError as error:
            raise MachineError("Out of memory.") from error

    work(study, train)
    assert study.failures
    assert held[0]() is None


def test_an_error_of_this_program_ends_the_worker_and_leaves_the_trial_open(opened):
    study = opened()
    study.join({}, [trial()])

    def fail(taken):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        work(study, fail)
    assert study.results() == []
    work(study)
    assert study.results() == [result(trial())]


def test_a_database_that_goes_away_is_told_in_one_line(opened, monkeypatch):
    study = opened()
    study.join({}, [trial()])

    def gone(*arguments):
        try:
            raise OperationalError("SELECT", {}, Exception("connection refused"))
        except OperationalError as error:
            raise StorageInternalError("commit") from error

    def train(taken):
        for name in ("get_trial", "set_trial_user_attr"):
            monkeypatch.setattr(study._storage, name, gone)
        return result(taken)

    with pytest.raises(MachineError, match="database failed: connection refused") as caught:
        work(study, train)
    assert "run the same command again" in caught.value.hint
    monkeypatch.undo()
    monkeypatch.setattr(study_module, "lives", lambda worker: False)  # it has ended by that
    work(study)
    assert study.results() == [result(trial())]


def test_a_stop_between_trials(opened):
    study = opened()
    study.join({}, [trial(seed=seed) for seed in range(3)])
    stop = StopRequest()

    def train(taken):
        stop.signal_number = 15
        return result(taken)

    with pytest.raises(StoppedError) as caught:
        study.work(train, stop=stop)
    assert caught.value.exit_code == 143
    assert study.count() == (1, 3)


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
import cnnreg.training.saver as saver
from cnnreg.cli import main

name, *arguments = sys.argv[1:]
liveness.machine = lambda: name
if name == "victim":
    def hang(*_, **__):
        print("taken", flush=True)
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
import cnnreg.training.saver as saver
from cnnreg.cli import main

def save_and_hang(self, record, save=saver.Saver.save_epoch):
    save(self, record)
    print("saved", flush=True)
    time.sleep(600)

saver.Saver.save_epoch = save_and_hang
main(sys.argv[1:])
"""


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
    first, second = (trial("adam", seed=seed).name for seed in range(2))
    assert saved[:3] == [(second, 1), (second, 2), (first, 2)]
    assert reports[0] == reports[1]


def test_a_trial_taken_over_meanwhile_is_left_to_the_other(opened):
    study, other = opened(), opened()
    study.join({}, [trial()])
    notes, taken = [], []

    def train(of):
        taken.append(of)
        if len(taken) == 1:  # the other worker has not heard from us, and goes ahead
            (running,) = other._trials()
            other._study.tell(running.number, state=study_module.TrialState.FAIL)
            work(other, lambda of: result(of, 0.75))
        return result(of, 0.5)

    work(study, train, note=notes.append)
    assert [item.val_accuracy for item in study.results()] == [0.75]
    assert "took this trial over" in notes[0]


def silence(study):
    """As if no worker had given a sign of life for years."""
    with study._storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_heartbeats SET heartbeat = '2001-01-01 00:00:00'")


@pytest.mark.parametrize("machine", ["this one", "another"])
def test_a_worker_that_is_seen_to_live_is_not_taken_for_dead(machine, opened, monkeypatch):
    """It may be suspended, or its signs of life may not get through."""
    study, other = opened(), opened()
    study.join({}, [trial()])
    states = []

    def train(of):
        (running,) = study._trials()
        study._storage.record_heartbeat(running._trial_id)
        silence(study)
        with monkeypatch.context() as patch:
            if machine == "another":
                patch.setattr(liveness, "machine", lambda: "elsewhere")
            other._fail_lost()
        states.extend(of.state.name for of in study._trials())
        raise ZeroDivisionError("enough seen")

    with pytest.raises(ZeroDivisionError, match="enough seen"):
        work(study, train)
    assert states == ["FAIL" if machine == "another" else "RUNNING"]


def test_all_workers_keep_to_the_heartbeat_of_the_first(opened):
    assert opened(heartbeat=None).heartbeat == liveness.HEARTBEAT
    later = opened(heartbeat=1)
    assert later.heartbeat == later._storage.heartbeat_interval == liveness.HEARTBEAT
    assert later._storage.grace_period == liveness.MISSED * liveness.HEARTBEAT


def test_a_trial_whose_folder_is_in_use_is_waited_for(opened, monkeypatch):
    study = opened()
    study.join({}, [trial(seed=seed) for seed in range(2)])
    taken, notes, waited = [], [], []
    monkeypatch.setattr(study_module, "_pause", lambda *arguments: waited.append(1))

    def train(of):
        taken.append(of.seed)
        assert len(taken) < 9, "tried again and again"
        if not waited and of.seed == 0:
            raise InUseError("In use by another process.")
        return result(of)

    work(study, train, free=lambda of: len(waited) == 3, note=notes.append)
    assert taken == [0, 1, 0]
    assert notes == ["waiting for 1 trials of other workers"]
    assert study.count() == (2, 2)


def test_no_message_holds_a_secret(postgresql_url, tmp_path):
    wrong = postgresql_url.replace("tester:", "s3cret-user:")
    with pytest.raises(MachineError) as caught:
        Study(Database(wrong, tmp_path), "x")
    text = str(caught.value)
    assert "database failed" in text
    assert "127.0.0.1" in text
    assert not [secret for secret in (PASSWORD, "s3cret-user") if secret in text]


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "secret", "postgresql:/secret", ""])
def test_a_storage_that_is_not_understood_is_not_repeated(url, tmp_path):
    if not url:
        assert Database(url, tmp_path).place == str(tmp_path / "study.db")
        return
    with pytest.raises(UsageError) as caught:
        Database(url, tmp_path)
    assert "secret" not in str(caught.value)
