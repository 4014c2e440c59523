"""Parity: what passes the gate and what does not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cnnreg.answers import logits_of
from cnnreg.errors import GateError
from cnnreg.exporting.parity import ClassLoss, compare

LOGITS = np.array([[5.0, 1.0, 0.0], [0.0, 4.0, 1.0], [0.0, 1.0, 3.0], [2.0, 0.0, 0.0]], np.float32)
LABELS = np.array([0, 1, 2, 0])


def judge(exported, precision="fp32", max_drop=0.0, original=LOGITS):
    return compare(original, exported, LABELS, precision=precision, max_drop=max_drop)


def test_equal_logits_hold_in_every_precision():
    for precision in ("fp32", "fp16", "int8"):
        parity = judge(LOGITS.copy(), precision)
        assert parity.holds
        assert (parity.agreement, parity.drop, parity.largest_difference) == (1.0, 0.0, 0.0)


def test_fp32_tolerates_rounding_and_nothing_more():
    assert judge(LOGITS + np.float32(0.0015)).holds  # a thousandth of each image's largest logit
    parity = judge(LOGITS + np.float32(0.0025))
    assert parity.complaint == (
        "in 1 of 4 images logits differ too much: in the worst by 0.0025, tolerance 0.002"
    )
    assert parity.tolerance == pytest.approx(0.002)


def test_one_picture_of_large_logits_lends_the_others_no_tolerance():
    """Else of a thousand images one in six would get another class, and the file be published."""
    outlier = LOGITS.copy()
    outlier[0] *= 1000
    flipped = outlier.copy()
    flipped[1] = flipped[1, ::-1]
    assert not judge(flipped, original=outlier).holds


def test_logits_that_cancel_each_other_may_differ_by_what_rounding_leaves():
    nothing = LOGITS.copy()
    nothing[1] = [1e-7, 0.0, 0.0]
    rounded = nothing.copy()
    rounded[1] = [0.0, 2e-5, 0.0]
    assert judge(rounded, original=nothing).holds
    rounded[1] = [0.0, 1e-3, 0.0]
    assert not judge(rounded, original=nothing).holds


def test_a_tie_may_flip_but_a_clear_winner_may_not():
    tied = LOGITS.copy()
    tied[3] = [2.0, 1.9999, 0.0]
    flipped = tied.copy()
    flipped[3] = [1.9999, 2.0, 0.0]
    assert judge(flipped, original=tied).holds
    assert not judge(LOGITS[:, ::-1].copy()).holds


def test_what_all_logits_have_in_common_hides_no_other_class():
    """Of a thousand a thousandth is allowed, which here decides between the classes."""
    random = np.random.default_rng(0)
    original = 1000 + random.normal(0, 0.3, (200, 10)).astype(np.float32)
    exported = original + random.uniform(-0.9, 0.9, original.shape).astype(np.float32)
    labels = original.argmax(1)
    found = compare(original, exported, labels, precision="fp32", max_drop=0)
    assert found.complaint.startswith("top-1 agreement is ")
    level = np.full((200, 10), 1000, np.float32)
    exported = level + random.uniform(-1e-4, 1e-4, level.shape).astype(np.float32)
    assert compare(level, exported, labels, precision="fp32", max_drop=0).holds


def test_int8_is_judged_by_accuracy_against_the_budget():
    worse = LOGITS.copy()
    worse[0] = [0.0, 9.0, 0.0]
    parity = judge(worse, "int8", max_drop=24.0)
    assert parity.drop == pytest.approx(25.0)
    assert "accuracy drops from 100.00 to 75.00 % (limit 24 points)" in parity.complaint
    assert judge(worse, "int8", max_drop=25.0).holds


@pytest.mark.parametrize(("precision", "lost", "holds"), [
    ("int8", 2, True), ("int8", 3, False), ("fp16", 2, True), ("fp32", 3, False),
])  # fmt: skip
def test_few_images_are_borne_out_by_training_images(precision, lost, holds):
    """Of 256 images five are judged, and right as before; among the others some are lost."""
    classes = np.arange(256) % 3
    original = np.eye(3, dtype=np.float32)[classes]
    exported = original.copy()
    exported[-lost:] = np.roll(exported[-lost:], 1, axis=1)
    labels, others = np.split(classes, [5])
    parity = compare(original, exported, labels, precision=precision, max_drop=1.0, others=others)
    decided = (256, pytest.approx(lost / 2.56)) if precision == "int8" else (5, 0.0)
    assert (parity.judged, (parity.decided_on, parity.drop)) == (5, decided)
    assert parity.holds is holds
    if precision == "int8" and not holds:
        assert parity.complaint == (
            "accuracy drops from 100.00 to 98.83 % with training images (limit 1 points)"
        )
    enough = compare(original, exported, labels, precision="int8", max_drop=1.0, others=others[:0])
    assert enough.holds
    assert (enough.decided_on, enough.drop, enough.drop_on_all) == (5, 0.0, None)


def test_of_few_images_and_all_the_larger_drop_decides():
    """One of five is lost, and of 256 no other."""
    classes = np.arange(256) % 3
    original = np.eye(3, dtype=np.float32)[classes]
    exported = np.concatenate([np.roll(original[:1], 1, axis=1), original[1:]])
    labels, others = np.split(classes, [5])
    parity = compare(original, exported, labels, precision="int8", max_drop=50.0, others=others)
    assert (parity.decided_on, parity.drop) == (5, pytest.approx(20.0))


def test_the_class_that_lost_most_is_told_where_the_accuracy_hides_it():
    """Ten of a thousand images are of class a: all of them are missed, and b's first fifty."""
    labels = np.repeat([0, 1, 2], [10, 490, 500])
    original = np.eye(3, dtype=np.float32)[labels]
    original[5] = [0, 1, 0]
    exported = original.copy()
    exported[:10] = [0, 1, 0]
    exported[10:60] = [0, 0, 1]
    parity = compare(
        original, exported, labels, precision="int8", max_drop=10.0, classes=("a", "b", "c")
    )
    assert parity.holds
    assert parity.worst_class == ClassLoss("a", images=10, before=0.9, after=0.0)
    equal = compare(
        original, original, labels, precision="int8", max_drop=10.0, classes=("a", "b", "c", "d")
    )
    assert equal.worst_class is None


def test_a_budget_that_is_no_number_holds_nothing():
    assert not judge(LOGITS[:, ::-1].copy(), "int8", max_drop=float("nan")).holds


def test_fp16_must_also_agree():
    worse = LOGITS.copy()
    worse[0] = [0.0, 9.0, 0.0]
    assert "top-1 agreement is 75.00 %" in judge(worse, "fp16", max_drop=100.0).complaint


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_logits_that_are_no_numbers_never_hold(value, precision):
    broken = LOGITS.copy()
    broken[1, 1] = value
    assert "NaN or infinity" in judge(broken, precision, max_drop=100.0).complaint


def test_logits_come_in_order_whatever_the_batch():
    class Echo:
        def prepare(self, images):
            return images

        def infer(self, inputs):
            return inputs.reshape(len(inputs), -1).astype(np.float32)

    pixels = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    assert logits_of(Echo(), pixels, batch=3).ravel().tolist() == list(range(10))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([[1.0, 2.0]], "a list"),
        (None, "a NoneType"),
        (np.zeros(2, np.float32), r"a ndarray of float32 \[2\]"),
        (np.zeros((2, 3), np.float32), r"a ndarray of float32 \[2, 3\]"),
        (np.array([["a", "b"]]), "a ndarray of <U1"),
    ],
)
def test_what_is_no_array_of_logits_is_no_answer(answer, said):
    session = SimpleNamespace(prepare=lambda images: images, infer=lambda inputs: answer)
    with pytest.raises(TypeError, match=f"infer gave {said}"):
        logits_of(session, np.zeros((1, 8, 8, 1), np.uint8))


def test_small_logits_are_judged_by_their_own_size():
    small = LOGITS * np.float32(1e-4)
    assert not judge(np.zeros_like(small), original=small).holds


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(GateError, match="original's own logits"):
        judge(LOGITS, original=np.full_like(LOGITS, np.nan))
    with pytest.raises(GateError, match="answers"):
        judge(LOGITS[:, :1], "int8", max_drop=100.0)


@pytest.mark.parametrize(
    "changed, lost, settled",
    [(20, 4, False), (20, -6, True), (20, 14, True), (0, 0, True), (3, 3, False), (2, 0, True)],
)
def test_a_drop_near_its_budget_settles_nothing(changed, lost, settled):
    """Of 1,000 images, `changed` get another class; budget: half a point."""
    labels = np.zeros(1000, int)
    original = np.tile(np.array([[1.0, 0.0]], np.float32), (1000, 1))
    original[: (changed - lost) // 2] = [0, 1]  # wrong before, and right after
    exported = original.copy()
    exported[:changed] = exported[:changed, ::-1]
    parity = compare(original, exported, labels, precision="int8", max_drop=0.5)
    assert parity.drop == pytest.approx(lost / 10, abs=0.051)
    assert parity.settles(0.5) is settled
