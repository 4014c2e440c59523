"""int8 within its budget: each way is reached when those before it did not do."""

from __future__ import annotations

import signal

import pytest

from cnnreg.errors import DivergedError, GateError, PluginError
from cnnreg.exporting.budget import Attempt, Quantised, Verdict, search
from cnnreg.termination import terminable
from cnnreg.training.saving.progress import Progress

ERRORS = {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.4, "e": 0.0, "f": 0.3, "g": 0.0, "h": 0.0}


class Judge:
    """Holds what it is told to, and keeps the titles of all it was asked."""

    def __init__(self, good, drop):
        self.good, self.drop, self.asked = good, drop, []

    def __call__(self, attempt: Attempt) -> Verdict:
        self.asked.append(attempt.title)
        return Verdict(bool(self.good(attempt)), self.drop(attempt))


def epochs(on_step, count=3):
    for epoch in range(count):
        on_step(Progress(epoch=epoch, batch=1))
        yield {"epoch": epoch + 1}


def find(good, *, refines=True, errors=ERRORS, finetuned=epochs, minutes=10.0, drop=lambda _: 1.0):
    judge, said = Judge(good, drop), []
    found = search(
        judge,
        refines=refines,
        layer_errors=lambda: iter(errors.items()),
        finetuned=finetuned,
        minutes=minutes,
        step=said.append,
    )
    return found, judge.asked, said


def test_a_stop_in_disguise_ends_the_search():
    """A converter that makes an error of the signal: no other way is tried."""

    def careless(attempt):
        if attempt.way == "fast":
            return False
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise GateError("conversion failed") from None

    asked = []
    with pytest.raises(KeyboardInterrupt), terminable():
        find(lambda attempt: asked.append(attempt.way) or careless(attempt))
    assert asked == ["fast", "exact-bias"]


def test_a_stop_in_disguise_ends_fine_tuning():
    def finetuned(on_step):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise GateError("an optimizer failed") from None
        yield {}

    with pytest.raises(KeyboardInterrupt), terminable():
        find(lambda attempt: False, finetuned=finetuned)
        pytest.fail("went on")


def test_the_fast_way_is_the_only_one_where_it_holds():
    found, asked, said = find(lambda attempt: True)
    assert found == Attempt(way="fast")
    assert (asked, said) == (["fast"], [])


def test_exact_bias_correction_comes_next():
    found, asked, _ = find(lambda attempt: attempt.quantisation.exact_bias)
    assert found.way == "exact-bias"
    assert asked == ["fast", "exact-bias"]


def test_as_few_as_possible_of_the_worst_layers_are_left_in_float():
    found, asked, said = find(lambda attempt: len(attempt.quantisation.float_layers) >= 3)
    assert found.quantisation.float_layers == ("b", "d", "f")  # of equal ones, the first first
    assert found.quantisation.exact_bias
    assert asked[2:] == [f"float-layers {count}" for count in (1, 2, 4, 3)]
    assert said[-1] == "int8: what each layer costs, 8 measured"


@pytest.mark.parametrize("harm", [True, False])
def test_layers_in_float_keep_the_bias_correction_only_where_it_helped(harm):
    found, _, _ = find(
        lambda attempt: attempt.quantisation.float_layers,
        drop=lambda attempt: 2.0 if attempt.quantisation.exact_bias == harm else 1.0,
    )
    assert found.quantisation.exact_bias is not harm


def test_at_most_half_of_the_layers_are_left_in_float():
    found, asked, said = find(lambda attempt: attempt.way == "fine-tuning" and attempt.epochs == 2)
    assert asked[2:5] == [f"float-layers {count}" for count in (1, 2, 4)]
    assert (found.weights, found.epochs) == ({"epoch": 2}, 2)
    assert asked[5:] == ["fine-tuning", "fine-tuning"]
    assert said[-1] == "int8: fine-tuning, epoch 2, step 1"


def test_nothing_is_found_where_no_way_does():
    found, asked, _ = find(lambda attempt: False)
    assert found is None
    floats = [1, 2, 4]
    assert asked == [
        "fast",
        "exact-bias",
        *(f"float-layers {count}" for count in floats),
        *["fine-tuning"] * 3,
        *(f"fine-tuning {count}" for count in floats),
    ]


def test_at_last_the_tuned_weights_are_tried_with_layers_in_float():
    def good(attempt):
        return attempt.weights == {"epoch": 3} and len(attempt.quantisation.float_layers) >= 3

    found, asked, _ = find(good)
    assert (found.way, found.epochs) == ("fine-tuning", 3)
    assert found.quantisation.float_layers == ("b", "d", "f")
    assert asked[-4:] == [f"fine-tuning {count}" for count in (1, 2, 4, 3)]


def test_without_time_the_slow_ways_are_not_gone():
    found, asked, _ = find(lambda attempt: attempt.way.startswith("f-"), minutes=0)
    assert found is None
    assert asked == ["fast", "exact-bias"]


def test_one_layer_alone_is_not_left_in_float():
    _, asked, _ = find(lambda attempt: False, errors={"only": 1.0})
    assert asked == ["fast", "exact-bias", *["fine-tuning"] * 3]


def test_a_format_that_knows_one_way_is_tried_with_other_weights():
    found, asked, _ = find(lambda attempt: attempt.epochs == 1, refines=False)
    assert asked == ["fast", "fine-tuning"]
    assert found.epochs == 1


def test_what_one_way_cannot_do_another_may():
    def good(attempt):
        if attempt.quantisation.float_layers:
            raise GateError("no such layer")
        return attempt.way == "fine-tuning"

    found, _, said = find(good)
    assert found.way == "fine-tuning"
    assert "int8: not by float-layers 4: no such layer" in said


def test_the_first_way_says_why_it_cannot():
    def good(attempt):
        raise GateError("no images")

    with pytest.raises(GateError, match="no images"):
        find(good)


def test_fine_tuning_that_diverges_is_none():
    def diverges(on_step):
        yield {"epoch": 1}
        raise DivergedError("nan")

    assert find(lambda attempt: False, finetuned=diverges)[0] is None


@pytest.mark.parametrize("error", [
    GateError("no such optimizer"), PluginError("no such optimizer"),
    RuntimeError("CUDA out of memory."), MemoryError("no room"),
])  # fmt: skip
def test_fine_tuning_that_cannot_begin_says_why(error):
    def impossible(on_step):
        raise error
        yield

    found, _, said = find(lambda attempt: False, finetuned=impossible)
    assert found is None
    assert said[-1].startswith("int8: not by fine-tuning: ")
    assert str(error).rstrip(".") in said[-1]


def test_a_fault_in_fine_tuning_is_not_hidden():
    def broken(on_step):
        raise RuntimeError("no such thing")
        yield

    with pytest.raises(RuntimeError, match="no such thing"):
        find(lambda attempt: False, finetuned=broken)


def test_the_report_says_what_few_images_are():
    facts = {
        "way": "float-layers", "float_layers": ("stem.0", "head"), "epochs": 0,
        "judging_images": 90, "original_accuracy": 0.9, "accuracy": 0.89, "seconds": 1.25,
    }  # fmt: skip
    assert str(Quantised(calibration_images=300, **facts)) == (
        "quantisation of all but 2 layers (stem.0, head), calibrated on 300 images, "
        "judged on 90, 1.2 s"
    )
    tuned = {**facts, "way": "fine-tuning", "float_layers": ("head",), "epochs": 3}
    assert str(Quantised(calibration_images=300, **tuned)).startswith(
        "fine-tuning and post-training quantisation of all but 1 layer (head), calibrated"
    )
    assert "120 images (few: 300 are better)" in str(Quantised(calibration_images=120, **facts))
