"""Nothing is claimed that the spread over the seeds does not carry."""

from __future__ import annotations

import pytest

from cnnreg.comparing.results import cells
from cnnreg.comparing.verdict import difference, verdicts
from comparisons import result, results, trial


def judged(tests):
    (verdict,) = verdicts(cells(results(tests)))
    return verdict


def test_one_seed_claims_no_order():
    verdict = judged({"adam": [0.99], "sgd": [0.10]})
    assert "One seed: no spread is known, so no order is claimed." in verdict.text
    assert "better" not in verdict.text
    assert not verdict.differences[0].better


def test_a_clear_difference_is_called_better():
    verdict = judged({"sgd": [0.80, 0.81, 0.82], "adam": [0.90, 0.912, 0.921]})
    assert verdict.leader == "adam (0.001)"
    assert verdict.differences[0].better
    assert "better than sgd (0.001), +10.10 [" in verdict.text


def test_an_overlap_is_called_open():
    verdict = judged({"adam": [0.90, 0.80, 0.95], "sgd": [0.89, 0.85, 0.86]})
    assert not verdict.differences[0].better
    assert "do not settle the difference to sgd" in verdict.text
    assert "better" not in verdict.text


def test_pairing_by_seed_takes_out_what_a_seed_gives_to_both():
    shared = [0.1, 0.5, 0.9]
    verdict = judged({"adam": [s + 0.02 for s in shared], "sgd": [0.1, 0.501, 0.899]})
    assert verdict.differences[0].better


def test_the_interval_is_students_over_the_pairs():
    ours, theirs = {0: 0.5, 1: 0.6, 2: 0.7, 9: 0.0}, {0: 0.4, 1: 0.4, 2: 0.4, 8: 1.0}
    found = difference("x", ours, theirs, comparisons=1)  # differences 0.1, 0.2, 0.3
    reach = 4.302652729696142 * 0.1 / 3**0.5  # t(0.975, 2)
    assert (found.n, found.mean) == (3, pytest.approx(0.2))
    assert (found.low, found.high) == pytest.approx((0.2 - reach, 0.2 + reach))


def test_more_comparisons_widen_each_interval():
    ours, theirs = {0: 0.5, 1: 0.6, 2: 0.7}, {0: 0.4, 1: 0.4, 2: 0.4}
    one, four = (difference("x", ours, theirs, comparisons=count) for count in (1, 4))
    assert four.low < one.low < one.high < four.high


def test_no_interval_reaches_beyond_what_is_possible():
    found = difference("x", {0: 0.0, 1: 1.0}, {0: 0.5, 1: 0.4}, comparisons=1)
    assert (found.low, found.high) == (-1.0, 1.0)


def test_equal_differences_prove_nothing():
    verdict = judged({"adam": [0.9, 0.9], "sgd": [0.8, 0.8]})
    assert not verdict.differences[0].better
    assert "no spread" in verdict.text


def test_who_lost_a_seed_is_not_ranked():
    verdict = judged({"adam": [0.9, 0.91, 0.92], "sgd": [0.99, None, 0.99], "momentum": [0.5] * 3})
    assert verdict.leader == "adam (0.001)"
    assert verdict.unranked == ("sgd (0.001)",)
    assert "Not ranked" in verdict.text
    nobody = judged({"adam": [0.9, None], "sgd": [None, 0.5]})
    assert "no order is claimed" in nobody.text


def test_the_leader_is_chosen_by_validation_and_may_be_worse_on_test():
    given = [
        result(trial(name, seed=seed), val, test + seed / 1000 * (name == "adam"))
        for name, val, test in (("adam", 0.9, 0.5), ("sgd", 0.8, 0.7))
        for seed in range(3)
    ]
    (verdict,) = verdicts(cells(given))
    assert verdict.leader == "adam (0.001)"
    assert verdict.differences[0].worse
    assert "worse than sgd" in verdict.text


def test_networks_are_compared_each_at_its_best():
    given = results({"adam": [0.9, 0.91], "sgd": [0.5, 0.51]}) + results(
        {"adam": [0.3, 0.31], "sgd": [0.7, 0.72]}, architecture="vgg11"
    )
    by_subject = {verdict.subject: verdict for verdict in verdicts(cells(given))}
    assert set(by_subject) == {"mlp on digits", "vgg11 on digits", "Networks on digits"}
    networks = by_subject["Networks on digits"]
    assert networks.leader == "mlp with adam (0.001)"
    assert networks.differences[0].other == "vgg11 with sgd (0.001)"
