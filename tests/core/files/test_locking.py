"""One writer for each folder, and why there is none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import filelock
import pytest

from cnnreg.errors import InUseError, MachineError
from cnnreg.files import in_use, sole_writer


def test_a_folder_has_one_writer(tmp_path):
    with sole_writer(tmp_path), pytest.raises(InUseError, match="In use"), sole_writer(tmp_path):
        pytest.fail("two at once")


HOLD = """
import sys, time
from pathlib import Path
from cnnreg.files.locking import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_holds_a_folder_is_told(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        assert in_use(tmp_path)
        with pytest.raises(InUseError, match="In use by") as caught, sole_writer(tmp_path):
            pytest.fail("two at once")
    finally:
        holder.kill()
        holder.communicate()
    if os.name == "posix":
        assert f"process {holder.pid}, which began at 20" in caught.value.what


def test_a_disk_that_is_full_says_so(tmp_path, monkeypatch):
    def acquire(lock):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(MachineError, match="Disk full"), sole_writer(tmp_path):
        pytest.fail("went on")
