from __future__ import annotations

import json

from cnnreg.exporting.description import describe
from cnnreg.specs import BARE


def test_the_file_says_how_to_use_it(original):
    texts = describe(original.model.contract, "fp16", BARE, original.split)
    assert json.loads(texts["labels"]) == list(original.model.contract.classes)
    assert texts["precision"] == "fp16"
    assert "[N, 1, 28, 28] grey" in texts["input"]
    data = original.run.config.data
    assert json.loads(texts["split"]) == {
        "split_seed": data.split_seed,
        "val_fraction": data.val_fraction,
        "test_fraction": data.test_fraction,
        "data_fingerprint": original.run.config.data_fingerprint,
    }


def test_it_does_not_say_when_for_that_would_make_each_file_another_one(original):
    texts = describe(original.model.contract, "fp16", BARE, original.split)
    assert "created" not in texts
    assert texts == describe(original.model.contract, "fp16", BARE, original.split)
