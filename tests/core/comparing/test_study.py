"""One study, joined and worked through, in SQLite and in a real PostgreSQL."""

from __future__ import annotations

import weakref

import pytest
import torch
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from cnnreg.comparing import study as study_module
from cnnreg.comparing.database import DatabaseError
from cnnreg.comparing.liveness import this_worker
from cnnreg.comparing.results import failed_result
from cnnreg.errors import MachineError, StoppedError, UsageError
from cnnreg.training.stopping import StopRequest
from comparisons import result, trial, work


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


def test_other_settings_are_refused_and_nothing_is_added(opened):
    opened().join({"recipe/mlp": ("mlp", {"epochs": 3})}, [trial()])
    study = opened()
    with pytest.raises(UsageError, match="mlp with epochs 3, not 4"):
        study.join({"recipe/mlp": ("mlp", {"epochs": 4})}, [trial(seed=7)])
    assert study.count() == (0, 1)
    assert study.setting("recipe/mlp") == {"epochs": 3}
    with pytest.raises(UsageError, match="holds no 'recipe/vgg11'"):
        study.setting("recipe/vgg11")


def test_what_an_older_version_held_for_all_optimizers_holds_for_each(opened):
    opened().join({"recipe/mlp": ("mlp", {"epochs": 3})}, [trial()])
    study = opened()
    assert study.setting("recipe/mlp/adam") == {"epochs": 3}
    with pytest.raises(UsageError, match="mlp with epochs 3, not 4"):
        study.join({"recipe/mlp/adam": ("mlp", {"epochs": 4})}, [])


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


def test_a_database_that_did_not_hear_the_end_of_a_trial_leaves_it_to_nobody(opened):
    """Its mark says that this very worker trains it, which it does not."""
    study = opened()
    study.join({}, [trial(seed=0)])
    asked = study._study.ask()
    asked.set_user_attr("worker", this_worker())
    study._taken.add(asked.number)
    work(study)
    assert study.count() == (1, 1)


def test_a_database_that_fails_is_no_failure_of_the_trial(opened):
    study = opened()
    study.join({}, [trial(seed=seed) for seed in range(2)])

    def train(of):
        raise DatabaseError("The study's database failed: gone.")

    with pytest.raises(DatabaseError):
        work(study, train)
    assert not study.failures
