from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnnreg.data.config import DataConfig
from cnnreg.data.listing import relative_names
from cnnreg.data.splits import Parts, complete, stratified
from cnnreg.errors import DataError
from cnnreg.specs import Samples, SourceData

CONFIG = DataConfig(name="any")


def source(counts: list[int], **given: Samples) -> SourceData:
    """Each image is one pixel that holds its own number, so that splits can be compared."""
    names = tuple(f"class{index}" for index in range(len(counts)))
    return SourceData(classes=names, train=numbered(counts), **given)


def numbered(counts: list[int], first: int = 0) -> Samples:
    labels = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    pixels = np.arange(first, first + len(labels)).astype(np.uint8)
    return Samples(labels=labels, pixels=pixels.reshape(-1, 1, 1, 1))


def members(samples: Samples) -> list[int]:
    assert samples.pixels is not None
    return samples.pixels.ravel().tolist()


def test_every_image_has_exactly_one_place():
    parts = complete(source([30, 50, 20]), CONFIG)
    together = [number for part in parts for number in members(part)]
    assert sorted(together) == list(range(100))


def test_labels_stay_with_their_images():
    whole = numbered([30, 50, 20])
    for part in complete(source([30, 50, 20]), CONFIG):
        assert np.array_equal(whole.labels[members(part)], part.labels)


def test_each_class_gives_its_share():
    parts = complete(source([40, 100, 60]), CONFIG)
    counts = [np.bincount(part.labels).tolist() for part in parts]
    assert counts == [[29, 72, 44], [3, 8, 4], [8, 20, 12]]


def test_given_splits_are_never_touched():
    test, val = numbered([5, 5], 100), numbered([4, 4], 200)
    parts = complete(source([10, 10], val=val, test=test), CONFIG)
    assert (parts.val, parts.test) == (val, test)
    assert members(parts.train) == list(range(20))


def files(counts: list[int]) -> SourceData:
    names = [f"class{label}/{n}.png" for label, count in enumerate(counts) for n in range(count)]
    labels = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    samples = Samples(labels=labels, files=tuple(map(Path("/photos").joinpath, names)))
    return SourceData(classes=tuple(f"class{n}" for n in range(len(counts))), train=samples)


def placed(parts: Parts) -> dict[str, set[str]]:
    return {
        name: {split}
        for split, samples in parts._asdict().items()
        for name in relative_names(samples.files, "/photos")
    }


def test_files_that_were_there_before_stay_where_they_were():
    before = placed(complete(files([40, 30]), CONFIG))
    parts = complete(files([80, 31]), CONFIG, before)
    now = placed(parts)
    assert before.items() <= now.items()
    assert len(now) == 111
    added = [now[f"class0/{number}.png"] for number in range(40, 80)]
    assert [added.count({split}) for split in ("train", "val", "test")] == [29, 3, 8]
    assert [np.bincount(part.labels).tolist() for part in parts] == [[58, 23], [6, 2], [16, 6]]


def test_a_name_in_two_given_splits_is_taken_for_trained_on():
    """The test folder is gone, and pictures in it were called as those that were trained on."""
    trained_on = {f"class0/{n}.png": {"train"} for n in range(20)}
    in_both = {f"class1/{n}.png": {"train", "test"} for n in range(5)}
    parts = complete(files([20, 20]), CONFIG, trained_on | in_both)
    held = relative_names([*parts.test.files, *parts.val.files], "/photos")
    assert len(held) == 6  # of class0 the one that must be, in each
    assert not in_both.keys() & set(held)


def test_what_is_left_of_a_class_is_in_every_split():
    """Even where those that were held out, or all others, are gone."""
    held_out = {f"class0/{n}.png": {"test"} for n in range(4)}
    trained_on = {f"class1/{n}.png": {"train"} for n in range(4)}
    for part in complete(files([4, 4]), CONFIG, held_out | trained_on):
        assert set(part.labels.tolist()) == {0, 1}


@pytest.mark.parametrize("given", [{}, {"test": numbered([5, 5], 100)}], ids=["none", "test"])
@pytest.mark.parametrize("least", [2, 3])
def test_the_smallest_classes_stay_where_they_were_whatever_is_added_elsewhere(given, least):
    least += not given
    for seed in range(30):
        config = replace(CONFIG, split_seed=seed)
        before = placed_without(given, complete(replace(files([20, least]), **given), config))
        grown = complete(replace(files([20 + seed, least]), **given), config, before)
        assert before.items() <= placed_without(given, grown).items()


def placed_without(given: dict[str, Samples], parts: Parts) -> dict[str, set[str]]:
    """Where the files are: a split that was given holds numbered pixels."""
    return {
        name: {split}
        for split, samples in parts._asdict().items()
        if split not in given
        for name in relative_names(samples.files, "/photos")
    }


def test_of_too_small_a_class_what_was_trained_on_is_held_out_last():
    trained_on = {f"class0/{n}.png": {"train"} for n in range(3)}
    tried_on = {"class0/3.png": {"val"}}
    for seed in range(20):
        config = replace(CONFIG, split_seed=seed)
        before = trained_on | tried_on
        now = placed(complete(files([4, 9]), config, before))
        assert now["class0/3.png"] == {"test"}
        now = placed(complete(files([5, 9]), config, before))
        assert (now["class0/3.png"], now["class0/4.png"]) == ({"val"}, {"test"})


def test_a_given_test_split_gives_nothing_to_validation():
    test = numbered([5, 5], 100)
    parts = complete(source([20, 20], test=test), CONFIG)
    assert parts.test is test
    assert sorted(members(parts.train) + members(parts.val)) == list(range(40))
    assert len(parts.val) == 4


def test_the_same_seed_gives_the_same_splits_for_ever():
    stay, held = stratified(np.repeat([0, 1], 10), 0.3, seed=0)
    assert held.tolist() == [1, 2, 3, 11, 13, 15]
    assert stay.tolist() == sorted(set(range(20)) - set(held.tolist()))


def test_another_seed_gives_other_splits():
    first, second = (complete(source([50, 50]), replace(CONFIG, split_seed=s)) for s in (0, 1))
    assert members(first.val) != members(second.val)
    assert members(first.test) != members(second.test)


def test_the_order_of_images_is_kept():
    for part in complete(source([30, 50, 20]), CONFIG):
        assert members(part) == sorted(members(part))


def test_three_images_a_class_are_enough():
    parts = complete(source([3, 3]), replace(CONFIG, val_fraction=0.5, test_fraction=0.5))
    assert [np.bincount(part.labels).tolist() for part in parts] == [[1, 1]] * 3


@pytest.mark.parametrize(
    ("counts", "given", "needed"),
    [
        ([10, 2], {}, 3),
        ([10, 1], {"test": numbered([1, 1])}, 2),
        ([10, 0], {"test": numbered([1, 1]), "val": numbered([1, 1])}, 1),
    ],
)
def test_too_small_a_class_is_refused_with_counts(counts, given, needed):
    with pytest.raises(DataError, match=f"'class1' .*: {needed} or more") as caught:
        complete(source(counts, **given), CONFIG)
    assert f"class1 {counts[1]}, class0 10" in caught.value.hint


def test_a_single_class_is_refused():
    with pytest.raises(DataError, match="only one class: class0"):
        complete(source([10]), CONFIG)
