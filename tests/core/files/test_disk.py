"""What a disk refuses is said, with what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cnnreg.errors import MachineError
from cnnreg.files import check_room, disk_errors, full_disk, write_text
from helpers import on_windows


@pytest.mark.parametrize("name", ["x", "x" * 150])
def test_a_folder_that_is_gone_and_a_path_that_is_too_long(tmp_path, monkeypatch, name):
    """Windows has one number for both."""
    path = tmp_path / ("y" * 60) / name
    for windows, told in ((False, "folder is gone"), (True, "too long" if name[1:] else "is gone")):
        on_windows(monkeypatch, windows)
        with pytest.raises(MachineError, match=told) as caught:
            write_text(path, "")
        assert ("--output" in caught.value.hint) == ("too long" in told)


@pytest.mark.parametrize("number", [39, 112, 1295])
def test_windows_has_numbers_of_its_own_for_a_full_disk(tmp_path, number):
    error = OSError(errno.EINVAL, "The handle")
    error.winerror = number
    for context in (disk_errors, full_disk):
        with pytest.raises(MachineError, match="Disk full"), context(tmp_path / "x"):
            raise error


def test_a_drive_that_is_gone_is_said_to_be(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda self: False)
    with pytest.raises(MachineError, match="folder is gone"):
        check_room(Path("/gone/runs/x"), 1)
