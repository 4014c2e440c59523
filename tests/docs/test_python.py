"""The examples of docs/python.md run, one after the other, as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_examples_run(tmp_path):
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) >= 3
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", "\n".join(examples)],
        cwd=tmp_path,
        env={**os.environ, "CNNREG_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second, third, *rest = done.stdout.splitlines()
    assert first.startswith("runs") and float(first.split()[-1]) > 0.5
    assert second.endswith(" 1.0")
    assert third.endswith("right on the test split")
    assert len(rest) == 3 + 2 + 1  # guesses, contestants, the fastest
