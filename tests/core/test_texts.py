"""Texts for people."""

from __future__ import annotations

from cnnreg.texts import aligned, listed, matches, percent


def test_figures_are_aligned_to_the_right_and_names_to_the_left():
    rows = [("a name", "12", "x"), ("b", "3", "y z")]
    assert aligned(("name", ">n", "what"), rows) == [
        ["name  ", " n", "what"],
        ["a name", "12", "x   "],
        ["b     ", " 3", "y z "],
    ]


def test_of_many_names_the_first_are_told():
    assert listed([]) == ""
    assert listed(iter("abc")) == "a, b, c"
    assert listed("abcd") == "a, b, c, ..."
    assert listed("abcd", 1) == "a, ..."


def test_a_pattern_is_a_part_or_the_whole_in_any_case():
    assert matches("cif", "ResNet", "CIFAR")
    assert matches("C?F*", "cifar")
    assert not matches("c?f", "cifar")
    assert not matches("fir", "cifar")


def test_a_share_that_is_not_known_is_a_dash():
    assert (percent(0.98765), percent(None)) == ("98.77 %", "-")
