"""Training: it learns, keeps its best weights, and ends as it should."""

from __future__ import annotations

import dataclasses
import json
import signal

import pytest
import torch

from cnnreg.errors import (
    DivergedError,
    MachineError,
    ModelFileError,
    StoppedError,
)
from cnnreg.files import sole_writer
from cnnreg.registry import Catalog, Entry
from cnnreg.specs import OptimizerSpec
from cnnreg.training.saving.checkpoint import read_checkpoint
from cnnreg.training.saving.saver import Saver
from helpers import make_run, stop_at, train

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_current_step(registry, tmp_path, number, code):
    run = make_run(registry, tmp_path / "run")
    with pytest.raises(StoppedError, match="epoch 1, step 4/21") as caught:
        train(registry, run, on_step=stop_at(4, number))
    assert caught.value.exit_code == code
    assert read_checkpoint(run.last).state["progress"]["step"] == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_while_an_epoch_is_saved_ends_it_there(registry, tmp_path, monkeypatch):
    save = Saver.save_epoch

    def save_and_signal(self, record):
        save(self, record)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Saver, "save_epoch", save_and_signal)
    with pytest.raises(StoppedError, match="Stopped after epoch 1; all is saved"):
        train(registry, make_run(registry, tmp_path / "run"))


def test_a_second_signal_interrupts_at_once(registry, tmp_path):
    def twice(progress):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(registry, make_run(registry, tmp_path / "run"), on_step=twice)


def test_patience_that_ends_with_the_last_epoch_ended_nothing_early(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=3, learning_rate=1e-12, patience=2)
    assert len(train(registry, run)) == 3
    assert not run.result["stopped_early"]


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


def test_bf16_learns_too(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", precision="bf16", epochs=3)
    records = train(registry, run)
    assert records[-1].val_loss < records[0].val_loss
