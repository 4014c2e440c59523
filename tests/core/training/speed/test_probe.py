"""The measured choice of precision, layout and compilation."""

from __future__ import annotations

import json
import random
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cnnreg.errors import MachineError, PluginError, StoppedError
from cnnreg.recipe import Recipe
from cnnreg.run_data import data_of_run
from cnnreg.training import step
from cnnreg.training.distributed.world import ALONE
from cnnreg.training.feeding.batches import Batch
from cnnreg.training.saving.checkpoint import read_checkpoint
from cnnreg.training.saving.state import seed_streams
from cnnreg.training.speed import probe
from cnnreg.training.speed.probe import has_bf16
from helpers import make_run, stop_at, train

AUTO = {"precision": "auto", "layout": "auto", "compile": "auto"}


@pytest.fixture
def measured(monkeypatch):
    """Rates that are given instead of measured; the settings that were tried."""
    given, tried = {"fp32": 100.0}, []

    def rates(self, recipes):
        tried.append(sorted(recipes))
        return {name: given.get(name, 1.0) for name in recipes}

    monkeypatch.setattr(probe, "SHORT", 0.0)
    monkeypatch.setattr(probe._Probe, "_rates", rates)
    monkeypatch.setattr(probe, "has_bf16", lambda device: True)
    return given, tried


def choice(registry, folder, **recipe):
    notes = []
    run = make_run(registry, folder, epochs=1, **{**AUTO, **recipe})
    train(registry, run, note=notes.append)
    settled = json.loads((folder / "run.json").read_text())["recipe"]
    return (settled["precision"], settled["layout"], settled["compile"]), notes


def test_the_fastest_is_chosen_said_and_kept_in_the_run(registry, tmp_path, measured):
    measured[0]["bf16"] = 200.0
    chosen, notes = choice(registry, tmp_path / "run")
    assert chosen == ("bf16", "channels-last", "off")
    assert "bf16, channels-last" in notes[0]
    assert "fp32 100" in notes[0]


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({"bf16": 105}, ("fp32", "channels-last", "off")),  # a near draw: exactness wins
        ({"fp32 contiguous": 130}, ("fp32", "contiguous", "off")),
        ({"bf16": 150, "bf16 contiguous": 200}, ("bf16", "contiguous", "off")),
    ],
)
def test_a_near_draw_goes_to_the_plainer_one(registry, tmp_path, measured, rates, chosen):
    measured[0].update(rates)
    assert choice(registry, tmp_path / "run")[0] == chosen


@pytest.fixture
def probed(monkeypatch):
    """Real steps, of which those of the settings given fail."""
    failing = {}

    class Failing(probe.Step):
        def __call__(self, batch, rate):
            if any(getattr(self.recipe, name) in values for name, values in failing.items()):
                raise NotImplementedError("not implemented for it")
            return super().__call__(batch, rate)

    monkeypatch.setattr(probe, "SHORT", 0.0)
    monkeypatch.setattr(probe, "BUDGET", 0.0)
    monkeypatch.setattr(probe, "Step", Failing)
    monkeypatch.setattr(probe, "has_bf16", lambda device: True)
    monkeypatch.setattr(probe._Probe, "size_up", lambda self: 1.0)
    return failing


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [("precision", "bf16", "fp32"), ("layout", "channels-last", "contiguous")],
)
def test_settings_that_fail_leave_the_choice_to_the_others(
    registry, tmp_path, probed, name, value, other
):
    probed[name] = [value]
    chosen, notes = choice(registry, tmp_path / "run")
    assert other in chosen
    assert value not in notes[0]


def test_a_network_that_fails_in_all_settings_is_blamed(registry, tmp_path, probed):
    probed["precision"] = ["fp32", "bf16"]
    with pytest.raises(PluginError, match="Training 'mlp' .* not implemented for it"):
        choice(registry, tmp_path / "run")


def test_a_network_that_cannot_be_compiled_is_trained_as_it_is(
    registry, tmp_path, probed, monkeypatch
):
    monkeypatch.setattr(probe, "LONG", 0.0)
    monkeypatch.setattr(step, "_compile", lambda model: model)
    probed["compile"] = ["on"]
    chosen, notes = choice(registry, tmp_path / "run")
    assert chosen[2] == "off"
    assert "compiled" not in notes[-1]


def test_images_are_counted_as_the_batch_holds_them(registry, tmp_path, monkeypatch):
    """A last batch too small for a step of its own goes with the one before."""
    images = len(data_of_run(registry, make_run(registry, tmp_path / "another")).train)
    monkeypatch.setattr(probe, "SHORT", 0.0)
    monkeypatch.setattr(probe, "STEP_SECONDS", float(images))
    monkeypatch.setattr(probe._Probe, "_seconds", lambda self, step, batch: 1.0)
    _, notes = choice(registry, tmp_path / "run", batch_size=images - 9)
    assert f"fp32 {images:,}," in notes[0]


def test_what_was_measured_is_remembered(registry, tmp_path, measured):
    measured[0]["bf16"] = 200.0
    choice(registry, tmp_path / "one")
    chosen, notes = choice(registry, tmp_path / "two")
    assert len(measured[1]) == 1
    assert "as measured before" in notes[0]
    assert chosen[0] == "bf16"
    choice(registry, tmp_path / "three", batch_size=32)  # another batch, another measurement
    assert len(measured[1]) == 2


def test_what_was_asked_for_is_not_measured(registry, tmp_path, measured):
    choice(registry, tmp_path / "run", precision="fp32", layout="auto")
    assert measured[1] == [["fp32", "fp32 contiguous"]]


def test_bf16_is_not_tried_where_it_is_emulated(registry, tmp_path, measured, monkeypatch):
    monkeypatch.setattr(probe, "has_bf16", lambda device: False)
    choice(registry, tmp_path / "run")
    assert measured[1] == [["fp32", "fp32 contiguous"]]


def test_a_processor_without_bf16_is_known_by_its_flags(monkeypatch):
    tiger_lake = {"architecture": "x86_64", "avx512_f": True, "avx512_vnni": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: tiger_lake)
    assert not has_bf16(torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: tiger_lake | {"amx_bf16": True})
    assert has_bf16(torch.device("cpu"))


def test_a_short_training_is_not_measured(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "SHORT", float("inf"))  # however busy the machine is
    chosen, notes = choice(registry, tmp_path / "run")
    assert (chosen, notes) == (("fp32", "channels-last", "off"), [])


@pytest.mark.parametrize("architecture", ["simple_cnn", "resnet20"])
def test_the_measurement_changes_nothing_but_the_settings(
    registry, tmp_path, monkeypatch, architecture
):
    """Same weights, same random stream: dropout and batch norm would show it."""
    monkeypatch.setattr(probe, "SHORT", 0.0)
    monkeypatch.setattr(probe, "BUDGET", 0.0)
    settings = {"epochs": 1, "batch_size": 256, "ema": 0.9, "image_size": 12}
    auto = make_run(registry, tmp_path / "auto", architecture, **settings, **AUTO)
    train(registry, auto)
    chosen = json.loads((auto.folder / "run.json").read_text())["recipe"]
    settled = {name: chosen[name] for name in AUTO}
    given = make_run(registry, tmp_path / "given", architecture, **settings, **settled)
    train(registry, given)
    assert auto.best.read_bytes() == given.best.read_bytes()
    ours, theirs = read_checkpoint(auto.last), read_checkpoint(given.last)
    for name, tensor in (ours.model | ours.extra).items():
        assert torch.equal(tensor, (theirs.model | theirs.extra)[name]), name


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"KEY": {"precision": "fp8"}}'])
def test_a_damaged_memory_is_measured_anew(registry, tmp_path, measured, monkeypatch, content):
    monkeypatch.setattr(probe, "key_of", lambda *args, **options: "KEY")
    home = tmp_path / "cnnreg-home"
    home.mkdir()
    (home / "speed.json").write_text(content)
    assert choice(registry, tmp_path / "run")[0] == ("fp32", "channels-last", "off")
    assert json.loads((home / "speed.json").read_text())["KEY"]["precision"] == "fp32"


def test_a_long_training_tries_to_compile_and_falls_back_quietly(
    registry, tmp_path, measured, monkeypatch
):
    monkeypatch.setattr(probe, "LONG", 0.0)
    measured[0]["fp32 compiled"] = 105.0
    chosen, notes = choice(registry, tmp_path / "one")
    assert chosen[2] == "off"
    assert ["fp32", "fp32 compiled"] in measured[1]

    real = probe._Probe._rates

    def no_compiler(self, recipes):
        if any(recipe.compile == "on" for recipe in recipes.values()):
            raise RuntimeError("no compiler")
        return real(self, recipes)

    monkeypatch.setattr(probe._Probe, "_rates", no_compiler)
    chosen, notes = choice(registry, tmp_path / "two", batch_size=32)
    assert chosen[2] == "off"
    assert not any("no compiler" in note for note in notes)


def test_a_short_training_before_does_not_keep_a_long_one_from_compiling(
    registry, tmp_path, measured, monkeypatch
):
    measured[0]["fp32 compiled"] = 200.0
    monkeypatch.setattr(step, "_compile", lambda model: model)
    monkeypatch.setattr("cnnreg.training.preparing.can_compile", lambda: True)
    assert choice(registry, tmp_path / "short")[0][2] == "off"
    monkeypatch.setattr(probe, "LONG", 0.0)
    assert choice(registry, tmp_path / "long")[0][2] == "on"
    monkeypatch.setattr(probe, "LONG", float("inf"))
    assert choice(registry, tmp_path / "short again")[0][2] == "off"


@pytest.fixture
def no_compiler(monkeypatch):
    def broken(module):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", broken)


@pytest.mark.usefixtures("no_compiler")
def test_compiling_that_was_asked_for_and_cannot_be_is_an_error(registry, tmp_path):
    train(registry, make_run(registry, tmp_path / "off", epochs=1))
    with pytest.raises(MachineError, match=r"C\+\+ compiler"):
        train(registry, make_run(registry, tmp_path / "on", epochs=1, compile="on"))


@pytest.mark.usefixtures("no_compiler", "measured")
def test_so_it_is_where_something_else_is_measured_first(registry, tmp_path):
    """No network that could not be compiled is to blame."""
    run = make_run(registry, tmp_path / "run", epochs=1, compile="on", precision="auto")
    with pytest.raises(MachineError, match=r"C\+\+ compiler"):
        train(registry, run)


@pytest.mark.usefixtures("no_compiler")
def test_a_compiled_training_goes_on_where_there_is_no_compiler(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(4))
    recipe = replace(run.config.recipe, compile="on")
    said = []
    train(registry, run.changed(recipe=recipe), note=said.append)
    assert said == ["torch.compile does not work here any more: going on without it"]
    assert run.result


@pytest.mark.parametrize("accumulate", [1, 8])
def test_no_more_is_tried_at_once_than_training_takes(
    registry, tmp_path, measured, monkeypatch, accumulate
):
    """Where memory is short enough to work in parts, the whole may not fit."""
    sizes, probed = [], probe._Probe._candidate

    def candidate(self, recipe):
        made = probed(self, recipe)
        sizes.append((self.images, len(made[1].labels)))
        return made

    monkeypatch.setattr(probe._Probe, "_candidate", candidate)
    choice(registry, tmp_path / "run", accumulate=accumulate)
    at_once = 64 // accumulate
    assert sizes == [(at_once, size) for size in dict.fromkeys((8, at_once))]


def test_too_little_memory_to_measure_is_no_failed_training(
    registry, tmp_path, measured, monkeypatch
):
    def full(self, recipes):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(probe._Probe, "_rates", full)
    chosen, notes = choice(registry, tmp_path / "run")
    assert chosen == ("fp32", "channels-last", "off")
    assert notes == ["too little memory to measure what is fastest here"]


def test_a_stop_ends_the_measurement(registry, tmp_path, monkeypatch):
    tried = []

    def rates(self, recipes):
        signal.raise_signal(signal.SIGTERM)
        tried.append(recipes)
        self._seconds(*self._candidate(recipes["fp32"]))
        raise AssertionError("went on")

    monkeypatch.setattr(probe, "SHORT", 0.0)
    monkeypatch.setattr(probe._Probe, "_rates", rates)
    run = make_run(registry, tmp_path / "run", epochs=1, **AUTO)
    with pytest.raises(StoppedError, match="before the first step") as caught:
        train(registry, run)
    assert caught.value.exit_code == 143
    assert len(tried) == 1
    assert not (tmp_path / "cnnreg-home" / "speed.json").exists()


def test_a_network_may_draw_on_any_stream_while_it_is_measured(
    registry, tmp_path, measured, monkeypatch
):
    drawn = []

    class Drawing(probe.Step):
        def __call__(self, batch, rate):
            drawn.append((random.random(), np.random.random()))
            return super().__call__(batch, rate)

    monkeypatch.setattr(probe, "Step", Drawing)
    choice(registry, tmp_path / "run")
    after = random.random(), np.random.random()
    seed_streams(0)
    assert after == (random.random(), np.random.random()) == drawn[0]


@pytest.mark.parametrize("accumulate", [2, 3])
def test_parts_of_uneven_size_are_compiled_too(monkeypatch, accumulate):
    seen = []

    def compiled(model):
        return lambda images: (seen.append(len(images)), model(images))[1]

    monkeypatch.setattr(step, "_compile", compiled)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    recipe = replace(Recipe(batch_size=8, compile="on").plain(), accumulate=accumulate)
    made = step.Step(
        step.Trainee(model, torch.optim.SGD(model.parameters())),
        recipe,
        device=torch.device("cpu"),
        world=ALONE,
        input_shape=(1, 2, 2),
    )
    made(Batch(torch.rand(8, 1, 2, 2), torch.arange(8) % 2, 8), 0.1)
    assert seen == {2: [4, 4], 3: [3, 3, 2]}[accumulate]


def test_a_network_without_a_length_is_compiled_too(monkeypatch):
    """As a truth value, a compiled network is asked for its length."""

    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, images):
            return self.layer(images.mean((2, 3)))

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda m, **o: compile_(m, backend="eager", **o))
    model = Tiny()
    trainee = step.Trainee(model, torch.optim.SGD(model.parameters()))
    recipe = Recipe(batch_size=4, compile="on").plain()
    batch = Batch(torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 0, 1]), 4)
    made = step.Step(
        trainee, recipe, device=torch.device("cpu"), world=ALONE, input_shape=(3, 8, 8)
    )
    loss, _ = made(batch, 0.1)
    assert 0 < loss < 10


@pytest.mark.slow
def test_a_compiled_training_resumes_exactly(registry, tmp_path):
    settings = {"epochs": 1, "batch_size": 128, "compile": "on", "architecture": "resnet20"}
    whole = make_run(registry, tmp_path / "whole", **settings)
    train(registry, whole)
    parts = make_run(registry, tmp_path / "parts", **settings)

    with pytest.raises(StoppedError):
        train(registry, parts, on_step=stop_at(4))
    train(registry, parts)
    assert parts.best.read_bytes() == whole.best.read_bytes()
