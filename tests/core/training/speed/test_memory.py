"""Freed memory stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from cnnreg.training.speed import memory
from cnnreg.training.speed.memory import SETTINGS, keep_freed_memory

FAULTS = """
import resource, sys
import torch
from cnnreg.training.speed.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()

def step():
    return [torch.ones(12 << 20) for _ in range(4)]  # 48 MiB each

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone is tuned")
def test_the_next_step_finds_its_memory_in_place():
    def faults(how):
        command = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("kept") * 10 < faults("plain")


@pytest.mark.parametrize("name", SETTINGS)
def test_who_has_set_malloc_has_decided(monkeypatch, name):
    monkeypatch.setenv(name, "131072")
    assert not keep_freed_memory()


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", None)
    assert not keep_freed_memory()


def test_on_windows_python_itself_is_not_opened(monkeypatch):
    """Asking for the C library reads it, which an alias of the Microsoft store forbids."""
    monkeypatch.setattr(memory, "WINDOWS", True)
    monkeypatch.setattr(memory.platform, "libc_ver", None)
    assert not keep_freed_memory()
