"""The scripts behind the figures still run: they reach deep into the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["kill_trials", "export_kills"])
@pytest.mark.skipif(sys.platform == "win32", reason="they fork")
def test_two_trials_find_nothing_wrong(name):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--trials", "2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_each_can_be_imported(script):
    subprocess.run(
        [sys.executable, "-c", f"import {script.stem}"],
        check=True,
        capture_output=True,
        cwd=BENCHMARKS,
    )
