"""Windows is told that there is work; no other system is."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from cnnreg.machine import awake as module
from cnnreg.machine.awake import awake


@pytest.fixture
def told(monkeypatch):
    calls = []
    kernel = SimpleNamespace(SetThreadExecutionState=calls.append)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    return calls


def test_windows_stays_awake_until_the_work_is_over_or_failed(told, monkeypatch):
    monkeypatch.setattr(module, "WINDOWS", True)
    with pytest.raises(OSError, match="disk"), awake():
        assert told == [0x80000001]
        raise OSError("disk")
    assert told == [0x80000001, 0x80000000]


def test_other_systems_are_told_nothing(told, monkeypatch):
    monkeypatch.setattr(module, "WINDOWS", False)
    with awake():
        pass
    assert told == []
