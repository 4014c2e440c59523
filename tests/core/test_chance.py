"""Intervals and shares are those of the textbooks."""

from __future__ import annotations

import pytest
from scipy.stats import t as students_t

from cnnreg.chance import interval, reach_of, share_within


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [
        (33, 35, 0.8139, 0.9842),
        (10, 10, 0.7225, 1),
        (0, 10, 0, 0.2775),
        (9900, 10000, 0.9879, 0.9918),
    ],
)
def test_few_images_leave_the_accuracy_open(right, images, low, high):
    """As scipy's binomtest(right, images).proportion_ci(method="wilson") has it."""
    assert interval(right, images) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 999])
@pytest.mark.parametrize("t", [0.0, 0.5, 2.0, 12.7])
def test_the_share_is_students(freedom, t):
    expected = 1 - 2 * students_t.sf(t, freedom)
    assert share_within(t, 1.0, freedom) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 29])
@pytest.mark.parametrize("comparisons", [1, 10, 1000])
def test_the_reach_is_students(freedom, comparisons):
    tail = 0.05 / comparisons
    expected = students_t.isf(tail / 2, freedom)
    assert reach_of(1 - tail, freedom) == pytest.approx(expected, rel=1e-9)


def test_all_of_it_reaches_without_end():
    assert reach_of(1.0, 1) > 1e9
