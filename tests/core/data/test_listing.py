"""What is said of images that are others than before."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnreg.data.listing import compare_classes, compare_listings, kept, relative_names

BEFORE = [("train", 10, "cat/1.png"), ("train", 20, "cat/2.png"), ("test", 30, "dog/1.png")]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (BEFORE[1:], "1 image removed"),
        ([*BEFORE, ("val", 1, "x"), ("val", 1, "y")], "2 images added"),
        (
            [("train", 11, "cat/1.png"), BEFORE[1], ("train", 1, "x"), ("val", 1, "y")],
            "2 images added, 1 removed, 1 changed",
        ),
        (BEFORE, "no image added, removed or changed"),
        (
            [("test", 10, "cat/1.png"), *BEFORE[1:]],
            "no image added, removed or changed; 1 that were trained on are held out now",
        ),
        ([("train", 1, str(n)) for n in range(1200)], "1,200 images added, 3 removed"),
    ],
)
def test_the_difference_in_words(now, said):
    assert compare_listings(BEFORE, now) == said


@pytest.mark.parametrize(
    ("now", "seen"),
    [
        ([("train", 10, "cat/1.png"), ("test", 20, "cat/1.png")], ""),
        ([("train", 20, "cat/1.png"), ("test", 10, "cat/1.png")], "; 1 that"),
        ([("val", 20, "cat/1.png")], ""),
        ([("val", 10, "cat/1.png")], "; 1 that"),
    ],
)
def test_of_two_splits_images_of_one_name_their_sizes_tell_which_was_trained_on(now, seen):
    before = [("train", 10, "cat/1.png"), ("test", 20, "cat/1.png")]
    said = compare_listings(before, now)
    assert seen in said if seen else "trained on" not in said


def test_a_mac_stores_accents_otherwise():
    (name,) = relative_names([Path("/photos/e\u0301te\u0301/1.png")], "/photos")
    assert name == "\u00e9t\u00e9/1.png"


def test_kept_is_what_has_name_and_size_still():
    moved = [("test", 10, "cat/1.png"), ("train", 21, "cat/2.png"), ("test", 30, "dog/2.png")]
    assert (kept(BEFORE, BEFORE), kept(BEFORE, moved), kept([], BEFORE)) == (3, 1, 0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("abc", ""),
        ("abcd", "d added"),
        ("bd", "d added; a, c missing"),
        ("cba", ""),
        ("abcdefghijklmnopq", "d, e, f, g, h, i, j, k, l, m, n, o and 2 more added"),
    ],
)
def test_classes_that_differ_are_named(found, said):
    assert compare_classes(found, "abc") == said
