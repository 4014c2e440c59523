"""Whether a worker still runs, as far as one can see."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cnnreg.comparing import liveness
from cnnreg.comparing.liveness import lives, this_worker


def test_this_process_lives_and_one_of_its_number_before_it_does_not():
    worker = this_worker()
    assert lives(worker) is True
    assert lives({**worker, "started": worker["started"] - 60}) is False
    assert lives(None) is False


def test_another_machines_workers_cannot_be_seen(monkeypatch):
    worker = this_worker()
    monkeypatch.setattr(liveness, "machine", lambda: "another machine")
    assert lives(worker) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no dead processes")
def test_one_that_was_killed_is_dead_before_its_parent_has_looked(monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: child.pid)
        worker = this_worker()
    assert lives(worker) is True
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert lives(worker) is False
    child.communicate()
    assert lives(worker) is False
