"""Texts as they can be drawn, and settings that stay the user's."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from cnnreg.pictures.canvas import drawable, drawing, drawn, labels, save, shorten


def test_what_no_font_can_write_becomes_a_number_or_a_question_mark():
    assert not drawable("line\nbreak")
    assert not drawable("\U0002f800" * 2 + "\ue123")  # private use
    shown = labels(("cat", "\ue123", "a_$b$"))
    assert shown == ["cat", "class 1", "a_$b$"]
    assert drawn("a_$b$\ue123\n") == "a_$b$??"


def test_long_names_are_cut():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"


def test_a_user_s_own_matplotlib_settings_come_back(tmp_path):
    before = dict(mpl.rcParams)
    with drawing():
        save(Figure(figsize=(1, 1)), tmp_path / "x.png")
    assert dict(mpl.rcParams) == before
