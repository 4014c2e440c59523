"""A training, and one stopped midway."""

from __future__ import annotations

import pytest

from cnnreg.errors import StoppedError
from cnnreg.runs import open_run
from helpers import make_run, stop_at, train


@pytest.fixture(scope="module")
def whole(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("whole") / "run", schedule="cosine")
    train(registry, run)
    return run


@pytest.fixture
def stopped(registry, tmp_path):
    """Stopped at step 5 of the second epoch's 21."""
    run = make_run(registry, tmp_path / "run", schedule="cosine")
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(26))
    return open_run(run.folder)
