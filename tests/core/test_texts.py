"""Texts for people."""

from __future__ import annotations

from cnnreg.texts import aligned


def test_figures_are_aligned_to_the_right_and_names_to_the_left():
    rows = [("a name", "12", "x"), ("b", "3", "y z")]
    assert aligned(("name", ">n", "what"), rows) == [
        ["name  ", " n", "what"],
        ["a name", "12", "x   "],
        ["b     ", " 3", "y z "],
    ]
