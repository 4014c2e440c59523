"""A benchmark from what a user names to its results."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pytest

from cnnreg.engines import CHECKPOINT
from cnnreg.errors import MachineError
from cnnreg.specs import ModelFile
from cnnreg.timing import race as racing
from cnnreg.timing.bench import BenchOptions, Contestant
from cnnreg.timing.choice import Proof
from cnnreg.timing.images import Timed
from cnnreg.timing.race import power_warnings, race
from helpers import contract
from slow_sessions import Clock, Failing, Waiting

BRIEFLY = BenchOptions(rounds=3, seconds=0.02, warmup=0.02)
NOISE = Timed(np.arange(256, dtype=np.uint8).reshape(64, 2, 2, 1), "on noise")


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Races sessions of the given names against each other, on one model of the user's."""
    clock = Clock()
    monkeypatch.setattr("cnnreg.timing.turns.perf_counter", clock)
    (tmp_path / "model.onnx").write_bytes(b"model")
    model = ModelFile(
        path=tmp_path / "model.onnx", format="onnx", precision="fp32", contract=contract()
    )
    images = SimpleNamespace(pixels=np.arange(256, dtype=np.uint8).reshape(64, 2, 2, 1))
    data = SimpleNamespace(val=SimpleNamespace(take=lambda count, seed: images))
    engine = SimpleNamespace(
        name="toy",
        title="Toy",
        devices=lambda: {"CPU": "i5", "GPU": "Iris"},
        details=None,
        requires=(),
    )

    def contestant(label):
        session = (Failing if "lost" in label else Waiting)(clock, 0.001)
        place = "GPU.0" if "GPU" in label else "CPU"
        own = replace(model, format=CHECKPOINT) if label == "original" else model
        return Contestant(label, own, engine, session, 0.0, place, "named" in label)

    def start(*labels, note=lambda text: None, busy=0.0):
        found = [contestant(label) for label in labels]
        monkeypatch.setattr(racing, "busy_processors", lambda seconds: busy)
        monkeypatch.setattr(racing, "load_contestants", lambda *args, **options: found)
        monkeypatch.setattr(racing, "find_model", lambda registry, path: model)
        monkeypatch.setattr("cnnreg.timing.images.data_for_model", lambda *args: data)
        return race(None, [model.path], threads=1, options=BRIEFLY, note=note)

    return start


def test_each_result_says_which_file_and_which_device_it_is_of(start):
    raced = start("one", "two on GPU")
    assert {result.sha256 for result in raced.results} == {sha256(b"model").hexdigest()}
    assert raced.devices == {"CPU": "i5", "GPU.0": "Iris"}
    assert raced.failure is None


def test_the_proofs_are_of_the_files_that_were_timed(start, monkeypatch):
    """Though a run is exported again meanwhile."""
    order = []
    for name in ("digest_of", "proof_of", "benchmark"):
        function = getattr(racing, name)
        monkeypatch.setattr(
            racing,
            name,
            lambda *args, name=name, function=function, **options: (
                order.append(name) or function(*args, **options)
            ),
        )
    start("one", "two")
    assert order == ["digest_of", "proof_of", "proof_of", "benchmark"]


def test_one_of_all_devices_that_fails_in_use_is_left_out(start, capsys):
    raced = start("one", "lost on GPU", "three", note=print)
    assert [result.label for result in raced.results] == ["one", "three"]
    assert "lost on GPU is left out from here on: The driver" in capsys.readouterr().out
    assert "lost on GPU was left out: The driver was reset." in raced.warnings
    assert raced.failure is None


def test_a_device_that_was_named_is_an_error_after_the_others_are_timed(start):
    raced = start("one", "lost on named GPU", "three")
    assert [result.label for result in raced.results] == ["one", "three"]
    assert str(raced.failure) == "The driver was reset."


def test_where_the_baseline_fails_there_is_no_race(start):
    with pytest.raises(MachineError, match="was reset"):
        start("lost", "two")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("mains", "mains", ""),
        (None, None, ""),
        (None, "mains", ""),
        ("battery", "battery", "on battery"),
        (None, "battery", "on battery"),
        ("mains", "battery", "changed from mains to battery"),
        ("battery", "mains", "changed from battery to mains"),
    ],
)
def test_where_the_power_came_from_is_a_warning(start, monkeypatch, before, after, told):
    assert told in "".join(power_warnings(before, after))
    assert bool(power_warnings(before, after)) == bool(told)
    powers = iter([before, after])
    monkeypatch.setattr(racing, "environment", lambda **options: {"power": next(powers)})
    monkeypatch.setattr(racing, "power_source", lambda: next(powers))
    assert start("one").warnings == power_warnings(before, after)


@pytest.mark.parametrize(("busy", "told"), [(1.4, True), (0.3, False), (None, False)])
def test_programs_beside_it_are_a_warning(start, monkeypatch, busy, told):
    monkeypatch.setattr(racing, "power_warnings", lambda *powers: ())
    monkeypatch.setattr(racing.os, "cpu_count", lambda: 2)
    said = (
        "other programs use 1.4 of 2 processors: "
        "engines that wait for all their threads suffer most"
    )
    assert start("one", busy=busy).warnings == ((said,) if told else ())


def test_how_busy_the_machine_is_is_looked_at_before_it_is_loaded(start, monkeypatch):
    asked = {}
    monkeypatch.setattr(racing, "environment", lambda **options: asked.update(options) or asked)
    monkeypatch.setitem(asked, "power", None)
    start("one")
    assert asked["patience"] > 0


def test_that_the_images_are_noise_is_a_warning_and_no_ones_answers_are(start, monkeypatch):
    monkeypatch.setattr(racing, "images_to_time", lambda *args, **options: NOISE)
    monkeypatch.setattr(Waiting, "infer", at_random(Waiting.infer))
    raced = start("one", "two")
    assert raced.warnings[0] == "on noise"
    assert raced.results[1].agreement < 0.9
    assert not [text for text in raced.results[1].warnings if "otherwise" in text]


def test_one_that_answers_otherwise_on_images_is_not_recommended(start, monkeypatch):
    monkeypatch.setattr(racing, "proof_of", lambda contestant: Proof())
    monkeypatch.setattr(Waiting, "infer", at_random(Waiting.infer))
    fastest = start("original", "two").fastest
    assert (fastest.label, fastest.level_with) == ("original", ())
    monkeypatch.setattr(racing, "images_to_time", lambda *args, **options: NOISE)
    fastest = start("original", "two").fastest
    assert {fastest.label, *fastest.level_with} == {"original", "two"}


def at_random(infer):
    random = np.random.default_rng(0)
    return lambda self, inputs: infer(self, inputs) + random.random((self.images, 3))
