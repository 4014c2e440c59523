"""Workers that know of each other through the study alone: who lives, who waits for whom."""

from __future__ import annotations

import pytest

from cnnreg.comparing import liveness
from cnnreg.comparing import study as study_module
from cnnreg.errors import InUseError
from comparisons import result, trial, work


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
