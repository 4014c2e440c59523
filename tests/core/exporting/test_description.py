from __future__ import annotations

import json

from cnnreg.exporting.description import describe


def test_the_file_says_how_to_use_it(original):
    texts = describe(original.model.contract, "fp16")
    assert json.loads(texts["labels"]) == list(original.model.contract.classes)
    assert texts["precision"] == "fp16"
    assert "[N, 1, 28, 28] grey" in texts["input"]
