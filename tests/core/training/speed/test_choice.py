"""What was measured, remembered for the machine and the model it was measured with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from cnnreg.files import home
from cnnreg.recipe import Recipe
from cnnreg.training.speed.choice import Choice, key_of, recall, remember
from helpers import contract

CHOICE = Choice("fp32", "channels-last", "off", {"fp32": 100.0})
CPU = torch.device("cpu")


def key(recipe=None, *, device=CPU, processes=1, long=False, **changes):
    return key_of(recipe or Recipe(), contract(**changes), device, processes, long=long)


def test_what_is_remembered_of_one_model_leaves_that_of_the_others():
    other = replace(CHOICE, layout="contiguous")
    remember("one", CHOICE)
    remember("two", other)
    assert (recall("one"), recall("two"), recall("three")) == (CHOICE, other, None)


@pytest.mark.parametrize("name", ["precision", "layout", "compile"])
def test_a_setting_that_does_not_exist_is_not_taken(name):
    remember("one", CHOICE)
    path = home() / "speed.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    known["one"][name] = "fp8"
    path.write_text(json.dumps(known), encoding="utf-8")
    assert recall("one") is None


def test_a_home_that_is_a_file_costs_the_memory_alone():
    home().parent.mkdir(parents=True, exist_ok=True)
    home().write_text("")
    remember("one", CHOICE)
    assert recall("one") is None


def test_another_measurement_for_all_that_it_depends_on(monkeypatch):
    keys = [
        key(),
        key(architecture="simple_cnn"),
        key(form="small"),
        key(input_shape=(1, 9, 9)),
        key(Recipe(batch_size=7)),
        key(Recipe(precision="bf16")),
        key(Recipe(layout="contiguous")),
        key(Recipe(compile="on")),
        key(processes=2),
        key(long=True),
        key(device=torch.device("meta")),
    ]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    keys.append(key())
    assert len(set(keys)) == len(keys)
    # As many images at once take as long.
    assert key(Recipe(accumulate=2)) == key(processes=2)
