"""`cnnreg predict`: what it prints."""

from __future__ import annotations

from pathlib import Path

from cnnreg.cli.predict import _print
from cnnreg.using import Guess


def test_a_result_is_one_line_however_long_its_path(capsys):
    path = Path("pictures " * 25, "cat.jpg")
    _print(path, [Guess("cat", 0.75), Guess("dog", 0.25)])
    assert capsys.readouterr().out == f"{path}: cat 75.0 %, dog 25.0 %\n"
