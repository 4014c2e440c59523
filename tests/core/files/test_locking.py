"""One writer for each folder, and why there is none."""

from __future__ import annotations

import errno
import os

import filelock
import pytest

from cnnreg.errors import InUseError, MachineError
from cnnreg.files import sole_writer


def test_a_folder_has_one_writer(tmp_path):
    with sole_writer(tmp_path), pytest.raises(InUseError, match="In use"), sole_writer(tmp_path):
        pytest.fail("two at once")


def test_a_disk_that_is_full_says_so(tmp_path, monkeypatch):
    def acquire(lock):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(MachineError, match="Disk full"), sole_writer(tmp_path):
        pytest.fail("went on")
