"""In which order contestants take their turns."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from cnnreg.timing.orders import balanced_orders


@pytest.mark.parametrize("contestants", range(1, 10))
@pytest.mark.parametrize("seed", [0, 1])
def test_nobody_begins_or_follows_another_more_often_than_the_rest(contestants, seed):
    rounds = balanced_orders(contestants, 2 * contestants, seed)
    everyone = list(range(contestants))
    assert all(sorted(order) == everyone for order in rounds)
    for half in (rounds[:contestants], rounds[contestants:]):
        assert sorted(order[0] for order in half) == everyone
    pairs = Counter(pair for order in rounds for pair in pairwise(order))
    assert len(pairs) == contestants * (contestants - 1)
    assert set(pairs.values()) <= {2}


def test_the_order_is_the_same_each_time_and_another_for_another_seed():
    assert balanced_orders(5, 10, 0) == balanced_orders(5, 10, 0)
    assert balanced_orders(5, 10, 0) != balanced_orders(5, 10, 1)
    assert balanced_orders(5, 10, 0)[:7] == balanced_orders(5, 7, 0)
