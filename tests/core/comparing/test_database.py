"""The database behind a study: distant, slow, or not to be told to anyone."""

from __future__ import annotations

import time

import pytest

from cnnreg.comparing import database as database_module
from cnnreg.comparing import study as study_module
from cnnreg.comparing.database import Database
from cnnreg.comparing.study import Study
from cnnreg.errors import MachineError, UsageError
from comparisons import trial
from postgresql import PASSWORD


def test_queueing_may_take_longer_than_the_lock_may_be_silent(opened, monkeypatch):
    """A distant server's round trips add up to more than it lets a holder be idle."""
    monkeypatch.setattr(database_module, "SILENCE", "2s")
    study, add = opened(), study_module.optuna.Study.add_trial
    monkeypatch.setattr(
        study_module.optuna.Study, "add_trial", lambda *given: (time.sleep(0.6), add(*given))
    )
    study.join({}, [trial(seed=seed) for seed in range(5)])
    assert study.count() == (0, 5)


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


def test_its_sessions_are_in_utc_and_an_idle_connection_that_was_cut_is_made_anew(
    postgresql_url, tmp_path, monkeypatch
):
    """As on a machine of another zone; as a firewall cuts what lay idle through a training."""
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    database = Database(postgresql_url, tmp_path)
    study = Study(database, "utc")
    with study._storage.engine.begin() as connection:
        assert connection.exec_driver_sql("SHOW TIME ZONE").scalar() == "UTC"
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
    with database.alone() as still_here:
        still_here()
    study.close()
