"""Training: it learns, it saves, it goes on exactly where it stopped."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from functools import cache
from pathlib import Path

import pluggy
import pytest
import torch
from torch import nn

from cnnreg import hookimpl, hookspecs
from cnnreg.errors import (
    DivergedError,
    MachineError,
    ModelFileError,
    PluginError,
    StoppedError,
)
from cnnreg.files import sole_writer
from cnnreg.registry import Catalog, Entry
from cnnreg.runs import open_run
from cnnreg.specs import OptimizerSpec
from cnnreg.training import loop
from cnnreg.training.building import build_model, choose_device
from cnnreg.training.saving.checkpoint import read_checkpoint
from helpers import make_run, state_of, stop_at, train

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_short_training_learns_the_digits(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=6)
    records = train(registry, run)
    assert [record.epoch for record in records] == [1, 2, 3, 4, 5, 6]
    assert records[-1].train_loss < 0.3 * records[0].train_loss
    assert run.result["test_accuracy"] > 0.9
    assert run.result["best_epoch"] == max(r.epoch for r in records if r.best)
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_the_best_checkpoint_holds_the_weights_of_the_best_epoch(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=3)
    records = train(registry, run)
    best = max(records, key=lambda record: record.val_accuracy)
    assert read_checkpoint(run.best).state["epoch"] == best.epoch


# wrn_16_4 has batch norm buffers, simple_cnn dropout: both draw on more than the weights.
@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
@pytest.mark.parametrize("steps", [[1], [20], [21], [5, 22, 30]])
def test_stopped_and_resumed_equals_never_stopped(registry, tmp_path, optimizer, steps):
    settings = {"epochs": 2, "optimizer": optimizer, "augment": "crop", "schedule": "cosine"}
    whole = make_run(registry, tmp_path / "whole", **settings)
    train(registry, whole)
    parts = make_run(registry, tmp_path / "parts", **settings)
    for step in steps:
        with pytest.raises(StoppedError):
            train(registry, parts, on_step=stop_at(step))
        parts = open_run(parts.folder)
        assert read_checkpoint(parts.last).state["progress"]["step"] == step
        torch.rand(5)  # another process would have another random stream
    train(registry, parts)
    assert state_of(parts) == state_of(whole)
    assert parts.best.read_bytes() == whole.best.read_bytes()


def test_dropout_resumes_on_the_same_random_stream(registry, tmp_path):
    settings = {"architecture": "simple_cnn", "epochs": 1}
    whole = make_run(registry, tmp_path / "whole", **settings)
    train(registry, whole)
    parts = make_run(registry, tmp_path / "parts", **settings)
    with pytest.raises(StoppedError):
        train(registry, parts, on_step=stop_at(3))
    torch.manual_seed(99)
    train(registry, parts)
    assert state_of(parts) == state_of(whole)


# Everything that carries state at once: average, clipping, mixing, parts, plateau, weights.
EVERYTHING = {
    "architecture": "resnet20",
    "image_size": 12,
    "epochs": 2,
    "batch_size": 256,
    "optimizer": "nesterov",
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "schedule": "plateau",
    "plateau": 1,
    "accumulate": 2,
    "clip": 1.0,
    "ema": 0.9,
    "mixup": 0.2,
    "cutmix": 1.0,
    "erasing": 0.5,
    "zoom": 0.5,
    "rotate": 15.0,
    "colour": 0.3,
    "label_smoothing": 0.1,
    "class_weights": "balanced",
    "freeze": 1,
    "body_rate": 0.5,
    "augment": "crop-flip",
}


# bf16 is slow where the processor emulates it.
@pytest.mark.parametrize(
    "architecture, precision",
    [
        ("resnet20", "fp32"),
        ("mlp", "bf16"),
        pytest.param("resnet20", "bf16", marks=pytest.mark.slow),
    ],
)
def test_with_every_lever_it_goes_on_exactly(registry, tmp_path, architecture, precision):
    settings = {**EVERYTHING, "architecture": architecture, "precision": precision}
    whole = make_run(registry, tmp_path / "whole", **settings)
    train(registry, whole)
    parts = make_run(registry, tmp_path / "parts", **settings)
    for step in (2, 9):
        with pytest.raises(StoppedError):
            train(registry, parts, on_step=stop_at(step))
        torch.rand(5)
    train(registry, parts)
    assert state_of(parts) == state_of(whole)
    assert parts.best.read_bytes() == whole.best.read_bytes()


ITEMS = [
    "optimizer/",
    "average/module",
    "average/n_averaged",
    "rng/torch",
    "step",
    "epoch",
    "loss_sum",
    "correct",
    "images",
    "history",
    "weights",
    "buffers",
]


@pytest.fixture(scope="module")
def halves(registry, tmp_path_factory):
    """For a network: the state of a whole training, and the folder of one stopped midway."""

    @cache
    def make(architecture):
        settings = {**EVERYTHING, "architecture": architecture}
        folder = tmp_path_factory.mktemp(architecture)
        whole = make_run(registry, folder / "whole", **settings)
        train(registry, whole)
        parts = make_run(registry, folder / "parts", **settings)
        with pytest.raises(StoppedError):
            train(registry, parts, on_step=stop_at(9))
        return state_of(whole), parts.folder

    return make


def blank(made, item):
    """A checkpoint with one item of its state as if it had not been saved."""
    kinds = {"weights": (".weight", ".bias"), "buffers": (".running_mean", ".running_var")}
    model = {
        n: torch.ones_like(t) if n.endswith(kinds.get(item, "-")) else t
        for n, t in made.model.items()
    }
    extra = {n: torch.zeros_like(t) if n.startswith(item) else t for n, t in made.extra.items()}
    if item == "rng/torch":
        extra[item] = torch.Generator().manual_seed(5).get_state()
    progress = dict(made.state["progress"])
    if item in progress:
        progress[item] = type(progress[item])()
    return dataclasses.replace(
        made, model=model, extra=extra, state={**made.state, "progress": progress}
    )


@pytest.mark.parametrize("item", ITEMS)
def test_each_part_of_the_state_is_needed(registry, tmp_path, item, monkeypatch, halves):
    """The comparison above must fail when one item is blanked, or it proves nothing."""
    from cnnreg.training.saving import resuming

    whole, stopped = halves("simple_cnn" if item == "rng/torch" else "resnet20")
    parts = open_run(shutil.copytree(stopped, tmp_path / "parts"))

    def blanked(path):
        made = read_checkpoint(path)
        return blank(made, item) if path == parts.last else made

    monkeypatch.setattr(resuming, "read_checkpoint", blanked)
    train(registry, parts)
    assert state_of(parts) != whole


def test_nothing_blanked_is_the_same(registry, tmp_path, halves):
    whole, stopped = halves("resnet20")
    parts = open_run(shutil.copytree(stopped, tmp_path / "parts"))
    train(registry, parts)
    assert state_of(parts) == whole


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_current_step(registry, tmp_path, number, code):
    run = make_run(registry, tmp_path / "run")
    with pytest.raises(StoppedError, match="epoch 1, step 4/21") as caught:
        train(registry, run, on_step=stop_at(4, number))
    assert caught.value.exit_code == code
    assert read_checkpoint(run.last).state["progress"]["step"] == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_interrupts_at_once(registry, tmp_path):
    def twice(progress):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(registry, make_run(registry, tmp_path / "run"), on_step=twice)


def test_patience_ends_training_early(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=50, learning_rate=1e-12, patience=2)
    assert len(train(registry, run)) == 3
    assert run.result["stopped_early"]


def test_a_loss_that_is_no_number_stops_with_step_and_rate(registry, tmp_path):
    breaks = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 1e30}
    run = make_run(registry, tmp_path / "run", **breaks)
    with pytest.raises(DivergedError, match=r"epoch 1, step \d+, learning rate 1e\+30") as caught:
        train(registry, run)
    assert caught.value.exit_code == 7
    assert not run.best.exists()


def test_after_it_a_tenth_is_proposed_of_what_was_asked_for(registry, tmp_path):
    """Not of where the schedule had brought it."""
    run = make_run(registry, tmp_path / "run", optimizer="sgd", learning_rate=1e30)
    with pytest.raises(DivergedError) as caught:
        train(registry, run)
    assert "learning rate 1e+30" not in str(caught.value)
    assert "--lr 1e+29" in caught.value.hint


def test_one_writer_a_run(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    with sole_writer(run.folder), pytest.raises(MachineError, match="In use"):
        train(registry, run)


def test_a_damaged_last_checkpoint_is_not_trained_over(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    train(registry, run)
    content = run.last.read_bytes()
    run.last.write_bytes(content[:-10])
    assert not run.previous.exists()  # a finished run keeps no second one
    with pytest.raises(ModelFileError):
        train(registry, run)
    assert run.last.read_bytes() == content[:-10]


def test_an_epoch_is_reported_to_observers(registry, tmp_path):
    seen = []

    class Logger:
        from cnnreg import hookimpl

        @hookimpl
        def cnnreg_epoch_finished(self, run, record):
            seen.append((run.folder, record.epoch))

        @hookimpl
        def cnnreg_training_finished(self, run, result):
            seen.append((run.folder, result["test_accuracy"]))

    registry.manager.register(logger := Logger())
    try:
        run = make_run(registry, tmp_path / "run")
        train(registry, run)
    finally:
        registry.manager.unregister(logger)
    assert seen == [(run.folder, 1), (run.folder, 2), (run.folder, run.result["test_accuracy"])]


def test_an_observer_that_draws_and_sets_changes_no_weight(registry, tmp_path):
    class Logger:
        from cnnreg import hookimpl

        @hookimpl
        def cnnreg_epoch_finished(self, run, record):
            torch.rand(3)
            torch.set_default_dtype(torch.float64)
            os.chdir(tmp_path)

    settings = {"architecture": "simple_cnn", "epochs": 2}  # whose dropout draws, too
    alone = make_run(registry, tmp_path / "alone", **settings)
    train(registry, alone)
    folder = Path.cwd()
    registry.manager.register(logger := Logger())
    try:
        watched = make_run(registry, tmp_path / "watched", **settings)
        train(registry, watched)
        assert (Path.cwd(), torch.get_default_dtype()) == (folder, torch.float32)
    finally:
        registry.manager.unregister(logger)
    assert state_of(watched) == state_of(alone)


def test_an_optimizer_of_a_plugin_is_used(registry, tmp_path):
    made = []

    def build(parameters, recipe):
        made.append(torch.optim.SGD(parameters, lr=recipe.learning_rate))
        return made[-1]

    plugin = registry.plugins[0]
    own = OptimizerSpec(name="own", summary="a test", build=build)
    changed = dataclasses.replace(registry, optimizers=Catalog("optimizer", [Entry(own, plugin)]))
    train(changed, make_run(registry, tmp_path / "run", optimizer="own", epochs=1))
    assert len(made) == 1


class Wrong(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :7]


class Listing(nn.Module):
    def forward(self, images):
        return [images.flatten(1)[:, :10]]


def breaking(options):
    raise ValueError("no such depth")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda options: Listing(), r"returned list, expected \(2, 10\)"),
        (lambda options: nn.LazyLinear(10), r"cannot be saved: 'weight' has no shape"),
        (lambda options: Wrong(), r"returned \(2, 7\), expected \(2, 10\)"),
        (lambda options: "network", "built str, not an nn.Module"),
        (breaking, "ValueError: no such depth"),
        (lambda options: nn.Linear(3, 10), "on images of 28x28 failed"),
    ],
)
def test_a_builder_that_breaks_its_promise_is_named(registry, build, said):
    spec = dataclasses.replace(registry.architectures["mlp"], build=build)
    with pytest.raises(PluginError, match=said) as caught:
        build_model(spec, spec.options())
    assert caught.value.exit_code == 6


def test_an_absent_device_says_what_to_do():
    with pytest.raises(MachineError, match="--device cpu"):
        choose_device("cuda:77")
    assert choose_device("cpu").type == "cpu"


def test_bf16_learns_too(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", precision="bf16", epochs=3)
    records = train(registry, run)
    assert records[-1].val_loss < records[0].val_loss


def test_a_logger_knows_itself_by_its_own_name(registry, tmp_path):
    """Where two are called alike users ask for one by a longer name."""
    heard = []

    class Logger:
        def __init__(self, package):
            self.package = package

        @hookimpl
        def cnnreg_epoch_finished(self, run):
            heard.append((self.package, "log" in run.loggers))

    manager = pluggy.PluginManager("cnnreg")
    manager.add_hookspecs(hookspecs)
    for package in "ab":
        manager.register(Logger(package), f"{package}:log")
    run = make_run(registry, tmp_path / "run", epochs=1)
    run = run.changed(loggers=("b:log",))
    train(dataclasses.replace(registry, manager=manager), run)
    assert sorted(heard) == [("a", False), ("b", True)]


def test_what_a_network_draws_in_validation_moves_nothing(registry, tmp_path, monkeypatch):
    """Stopped in its middle, validation is done again from its beginning."""
    settings = {"epochs": 2, "dropout": 0.3}
    whole, evaluate = make_run(registry, tmp_path / "whole", **settings), loop.evaluate
    train(registry, whole)

    def drawing(*arguments, **options):
        torch.rand(7)
        return evaluate(*arguments, **options)

    monkeypatch.setattr(loop, "evaluate", drawing)
    other = make_run(registry, tmp_path / "other", **settings)
    train(registry, other)
    assert state_of(other) == state_of(whole)
