"""Nothing is claimed that the spread over the seeds does not carry."""

from __future__ import annotations

import random

import pytest

from cnnreg.comparing.results import cells, failed_result
from cnnreg.comparing.verdict import METHOD, difference, verdicts
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


def test_who_ties_is_named_beside_the_leader():
    verdict = judged({"sgd": [0.9, 0.9], "adam": [0.9, 0.9], "adagrad": [0.8, 0.7]})
    assert "sgd (0.001) and adam (0.001) have the same highest mean validation" in verdict.text
    assert f"{verdict.leader} is compared with the others." in verdict.text
    assert "adagrad (0.001) have" not in verdict.text


def test_a_best_rate_that_is_the_last_one_tried_is_told():
    def text(**accuracies):
        found = [
            result(trial(optimizer, rate, seed), accuracy + seed / 1000)
            for optimizer, rates in accuracies.items()
            for rate, accuracy in rates.items()
            for seed in (0, 1)
        ]
        return verdicts(cells(found))[0].text

    inside = {0.1: 0.5, 0.01: 0.9, 0.001: 0.6}
    said = text(adam=inside, sgd={0.1: 0.8, 0.01: 0.7, 0.001: 0.1}, rmsprop={0.1: 0.2, 0.01: 0.8})
    assert "Of the rates tried the highest is the best of sgd (0.1): try more." in said
    assert "the lowest is the best of rmsprop (0.01): try more." in said
    assert "of adam" not in said
    assert "Of the rates" not in text(adam=inside, sgd={0.1: 0.8})
    diverged = [result(trial("sgd", rate), None) for rate in (10.0, 1.0)]
    found = [result(trial("adam", rate), accuracy) for rate, accuracy in inside.items()]
    assert "Of the rates" not in verdicts(cells([*diverged, *found]))[0].text


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
    assert (found.seeds, found.mean) == ((0, 1, 2), pytest.approx(0.2))
    assert (found.low, found.high) == pytest.approx((0.2 - reach, 0.2 + reach))


def test_more_comparisons_widen_each_interval():
    ours, theirs = {0: 0.5, 1: 0.6, 2: 0.7}, {0: 0.4, 1: 0.4, 2: 0.4}
    one, four = (difference("x", ours, theirs, comparisons=count) for count in (1, 4))
    assert four.low < one.low < one.high < four.high


def test_contestants_that_are_equal_are_hardly_ever_told_apart():
    """The leader is chosen on the seeds that judge it, and must not gain by that."""
    normal, told_apart, rounds = random.Random(0).gauss, 0, 150
    for _ in range(rounds):
        given = []
        for name in ("adam", "adagrad", "rmsprop", "sgd", "momentum"):
            for seed in range(5):
                test = 0.5 + normal(0, 0.01)
                given.append(result(trial(name, seed=seed), test + normal(0, 0.002), test))
        (verdict,) = verdicts(cells(given))
        told_apart += any(item.better or item.worse for item in verdict.differences)
    assert told_apart / rounds <= 0.05


def test_all_pairs_that_might_have_been_chosen_are_counted():
    """Of 3 optimizers at 2 rates each, 12 pairs; of networks with 6 and 1 candidates, 6."""
    accuracies = {"adam": [0.9, 0.91, 0.93], "sgd": [0.5, 0.52, 0.53], "momentum": [0.5, 0.5, 0.6]}
    given = results(accuracies) + [
        result(trial(name, 0.1, seed), 0.1) for name in accuracies for seed in range(3)
    ]
    other = results({"adam": [0.2, 0.21, 0.2]}, architecture="vgg11")
    optimizers, networks = verdicts(cells(given + other))
    ours = dict(enumerate(accuracies["adam"]))
    for found, theirs, pairs in (
        (optimizers.differences[0], accuracies["sgd"], 12),
        (networks.differences[0], [0.2, 0.21, 0.2], 6),
    ):
        expected = difference(found.other, ours, dict(enumerate(theirs)), comparisons=pairs)
        assert found == expected
    assert "all pairs of contestants, at each of their rates" in METHOD


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
    assert "Not ranked, for a seed diverged: sgd (0.001)." in verdict.text
    nobody = judged({"adam": [0.9, None], "sgd": [None, 0.5]})
    assert "no order is claimed" in nobody.text


def test_who_has_fewer_seeds_is_compared_over_them_and_said_to_be_behind():
    verdict = judged(
        {"adam": [0.9, 0.91, 0.93, 0.5], "sgd": [0.8, 0.95, 0.9, 0.6], "momentum": [0.88, 0.9]}
    )
    assert verdict.leader == "adam (0.001)"  # though its mean over all of its own is lower
    assert {item.other: item.seeds for item in verdict.differences} == {
        "sgd (0.001)": (0, 1, 2, 3), "momentum (0.001)": (0, 1),
    }  # fmt: skip
    assert (verdict.unranked, verdict.behind) == ((), {"momentum (0.001)": 2})
    assert "highest mean validation accuracy over seeds 0 and 1, which all have." in verdict.text
    assert "4 seeds do not settle the difference to sgd" in verdict.text
    assert "2 seeds do not settle the difference to momentum" in verdict.text
    assert "] over seeds 0 and 1." in verdict.text
    assert verdict.text.endswith("momentum (0.001) has 2 of 4 seeds so far.")


def test_one_seed_in_common_settles_nothing():
    verdict = judged({"adam": [0.9, 0.91, 0.93], "sgd": [0.1, 0.11, 0.1], "momentum": [0.8]})
    assert "better than sgd" in verdict.text
    settled_by_none = "One seed does not settle the difference to momentum (0.001), +10.00 over "
    assert f"{settled_by_none}seed 0." in verdict.text


def test_no_seed_in_common_is_no_comparison():
    given = [result(trial("adam", seed=0), 0.9), result(trial("sgd", seed=1), 0.5)]
    (verdict,) = verdicts(cells(given))
    assert (verdict.leader, verdict.differences) == ("", ())
    assert verdict.behind == {"adam (0.001)": 1, "sgd (0.001)": 1}
    assert "mlp on digits: there is no seed that all have, so no order is claimed." in verdict.text
    (verdict,) = verdicts(cells([*given, result(trial("momentum", seed=0), None)]))
    assert (verdict.leader, verdict.unranked) == ("", ("momentum (0.001)",))
    assert "Not ranked, for a seed diverged: momentum (0.001)." in verdict.text


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


def test_who_failed_leads_nothing():
    lost = [failed_result(trial(name, seed=0), "Out of memory.") for name in ("sgd", "momentum")]
    diverged = result(trial("adam", seed=0), None)
    assert verdicts(cells(lost)) == []
    (verdict,) = verdicts(cells([*lost, diverged]))
    assert verdict.leader == ""
    assert verdict.behind == {"sgd (0.001)": 0, "momentum (0.001)": 0}
    (verdict,) = verdicts(cells([*lost, result(trial("adam", seed=0))]))
    assert verdict.leader == "adam (0.001)"
    assert "sgd (0.001) has 0 of 1 seeds so far." in verdict.text
