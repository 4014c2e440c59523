"""What chance alone may do to a figure."""

from __future__ import annotations

from math import atan2, cos, inf, pi, sin, sqrt

SCORE = 1.959964  # standard deviations that hold 95 % of a normal distribution


def interval(right: int, images: int, score: float = SCORE) -> tuple[float, float]:
    """Where an accuracy lies by all likelihood (95 %): Wilson's interval, 0..1.

    `score`: for how many standard deviations. Unlike the plain one it holds for few images,
    and where all of them are right.
    """
    share, excess = right / images, score**2 / images
    middle = share + excess / 2
    reach = score * sqrt(share * (1 - share) / images + excess / images / 4)
    return max(0.0, (middle - reach) / (1 + excess)), min(1.0, (middle + reach) / (1 + excess))


def share_within(distance: float, error: float, freedom: int) -> float:
    """How much of Student's t lies within `distance / error` of 0, on both sides.

    By its finite series, Abramowitz and Stegun 26.7.3 and 26.7.4.
    """
    angle, odd = atan2(distance, error * sqrt(freedom)), freedom % 2
    term, total = cos(angle) if odd else 1.0, 0.0
    for number in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cos(angle) ** 2 * (number - 1) / number
    total *= sin(angle)
    return 2 / pi * (angle + total) if odd else total


def reach_of(share: float, freedom: int) -> float:
    """How far from 0, on both sides, that share (0..1) of Student's t reaches."""
    low, high = 0.0, 1.0
    while share_within(high, 1.0, freedom) < share:
        low, high = high, 2 * high
        if high == inf:
            return inf
    while low < (middle := (low + high) / 2) < high:
        if share_within(middle, 1.0, freedom) < share:
            low = middle
        else:
            high = middle
    return high
