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
    monkeypatch.setattr(database_module, "SILENCE", "1s")
    study, add = opened(), study_module.optuna.Study.add_trial
    monkeypatch.setattr(
        study_module.optuna.Study, "add_trial", lambda *given: (time.sleep(0.5), add(*given))
    )
    study.join({}, [trial(seed=seed) for seed in range(4)])
    assert study.count() == (0, 4)


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
