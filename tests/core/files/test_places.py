"""Where things lie, and how one types it."""

from __future__ import annotations

import shlex
from pathlib import Path, PureWindowsPath

import pytest

from cnnreg.errors import MachineError
from cnnreg.files import home, typed
from helpers import on_windows


@pytest.mark.usefixtures("homeless")
def test_without_a_home_the_error_says_how_to_name_one():
    with pytest.raises(MachineError, match="no home folder") as caught:
        home()
    assert "CNNREG_HOME=" in caught.value.hint


@pytest.mark.parametrize("name", ["R&D", "a (1)", "it's", "$x;y", "~x", "a,b"])
def test_what_a_shell_would_read_otherwise_is_quoted(monkeypatch, name):
    on_windows(monkeypatch, False)
    assert shlex.split(typed(Path(name))) == [name]
    on_windows(monkeypatch)
    quote = "'" if "$" in name else '"'
    assert typed(Path(name)) == f"{quote}{name}{quote}"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("\\\\server\\my share", '"\\\\server\\my share\\\\"'),
        ("D:\\it's $5", "'D:\\it''s $5'"),
        ("C:\\a b\\c", '"C:\\a b\\c"'),
    ],
)
def test_so_it_is_for_the_shells_of_windows(monkeypatch, path, said):
    on_windows(monkeypatch)
    assert typed(PureWindowsPath(path)) == said


def test_what_no_shell_minds_is_not_quoted(monkeypatch):
    on_windows(monkeypatch)
    path = PureWindowsPath(r"C:\Users\Jörg\runs\2026-01.v2_a+b")
    assert typed(path) == str(path)
