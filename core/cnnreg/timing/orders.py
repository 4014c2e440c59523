"""In which order contestants take their turns: nobody always begins, nor always follows another."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count


def balanced_orders(contestants: int, rounds: int, seed: int) -> list[list[int]]:
    """The order of each round, from Williams squares whose rows are shuffled.

    In as many rounds as there are contestants each begins once and follows each other one once;
    of an odd number twice in twice as many rounds, which takes the square and its mirror.
    """
    rows = _rows(contestants, random.Random(seed))  # noqa: S311 - an order, not a secret
    return [next(rows) for _ in range(rounds)]


def _rows(contestants: int, chance: random.Random) -> Iterator[list[int]]:
    first = [(place + 1) // 2 if place % 2 else -(place // 2) for place in range(contestants)]
    square = [[(place + shift) % contestants for place in first] for shift in range(contestants)]
    for number in count():
        mirrored = contestants % 2 and number % 2
        for row in chance.sample(square, contestants):
            yield row[::-1] if mirrored else row
