"""Going on: from the last whole checkpoint, with what differs said and kept."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
import torch

from cnnreg.errors import ModelFileError
from cnnreg.registry import Catalog
from cnnreg.run_data import data_of_run
from cnnreg.runs import OF_THE_END, open_run
from cnnreg.training.saving import resuming
from cnnreg.training.saving.checkpoint import read_checkpoint, save_checkpoint
from cnnreg.training.saving.saver import Saver
from helpers import make_run, state_of, train

pytestmark = pytest.mark.usefixtures("one_thread")


FACTS = ["torch", "numpy", "pillow", "threads", "processor", "instructions", "device", "plugin"]


@pytest.mark.parametrize("fact", FACTS)
def test_what_keeps_it_from_being_exact_is_said_and_kept(registry, stopped, fact, monkeypatch):
    facts = {}

    def elsewhere(*arguments):
        facts.update(resuming.made_with(*arguments))
        return {**facts, fact: "another"}

    monkeypatch.setattr("cnnreg.training.preparing.made_with", elsewhere)
    said = []
    train(registry, stopped, note=said.append)
    was = facts[fact]
    text = f"not bit-exact: {fact} was {was}, is another"
    assert said == [text]
    (change,) = open_run(stopped.folder).config.changes
    assert (change["epoch"], change["step"], change["what"]) == (1, 26, [text])


def test_the_gpu_is_one_of_the_facts(registry, whole, monkeypatch):
    from cnnreg.training.feeding.splits import training_batches

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "RTX 9999")
    config, dataset = whole.config, data_of_run(registry, whole)
    batches = training_batches(dataset, config.contract, config.recipe)
    facts = {
        name: resuming.made_with(whole, batches, dataset.val, "plugin", torch.device(name))
        for name in ("cuda", "cpu")
    }
    assert facts["cuda"]["gpu"] == "RTX 9999"
    assert "gpu" not in facts["cpu"]


def test_what_differs_is_kept_once_where_a_kill_comes_before_the_first_save(
    registry, stopped, monkeypatch
):
    edit_facts(stopped, lambda facts: facts.update(threads=99))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Saver, "save", interrupted)
        train(registry, stopped)
    train(registry, open_run(stopped.folder))
    (change,) = open_run(stopped.folder).config.changes
    assert (change["epoch"], change["step"]) == (1, 26)


def interrupted(*arguments):
    raise KeyboardInterrupt


def test_what_an_older_version_did_not_keep_is_no_difference(registry, stopped):
    edit_facts(stopped, lambda facts: [facts.pop(name) for name in ("images", "numpy", "pillow")])
    edit_facts(stopped, lambda facts: facts["recipe"].pop("start_size"))
    said = []
    train(registry, stopped, note=said.append)
    assert said == []


def test_an_image_that_cannot_be_read_any_more_begins_the_epoch_again(registry, stopped):
    """The files are the same, and so is their fingerprint; the order of the images is not."""
    edit_facts(stopped, lambda facts: facts.update(images=facts["images"] + 1))
    seen, said = [], []
    train(registry, stopped, note=said.append, on_step=lambda progress: seen.append(progress.batch))
    assert said == ["not bit-exact: the images have changed; the epoch in work begins again"]
    assert seen == list(range(1, 22))


def edit_facts(run, edit):
    edit_state(run, lambda state: edit(state["made_with"]))


def edit_state(run, edit):
    checkpoint = read_checkpoint(run.last)
    edit(checkpoint.state)
    save_checkpoint(run.last, checkpoint)


def test_one_image_that_is_left_is_seen_with_one_more(registry, stopped, batches):
    """Batch norm cannot take one alone."""
    images = len(data_of_run(registry, stopped).train)
    edit_state(stopped, lambda state: state["progress"].update(images=images - 1))
    train(registry, stopped)
    assert batches == [(1, 2)]


@pytest.fixture
def batches(monkeypatch):
    """The epoch, and the number of images, of each batch that is trained on."""
    from cnnreg.training.feeding.batches import TrainingBatches

    seen = []
    epoch = TrainingBatches.epoch

    def watched(self, number, *, start=0):
        for batch in epoch(self, number, start=start):
            seen.append((number, len(batch.labels)))
            yield batch

    monkeypatch.setattr(TrainingBatches, "epoch", watched)
    return seen


def test_a_resume_on_the_same_machine_says_nothing(registry, stopped):
    said = []
    train(registry, stopped, note=said.append)
    assert said == []
    assert open_run(stopped.folder).config.changes == ()


@pytest.mark.parametrize("batch_size", [16, 50, 977])
def test_another_batch_size_sees_each_image_once(registry, stopped, batch_size, batches):
    recipe = dataclasses.replace(stopped.config.recipe, batch_size=batch_size)
    said, numbers = [], []
    records = train(
        registry,
        stopped.changed(recipe=recipe),
        note=said.append,
        on_step=lambda progress: numbers.append(progress.batch),
    )
    assert said == [f"not bit-exact: batch size was 64, is {batch_size}"]
    images = len(data_of_run(registry, stopped).train)
    left = images - 5 * 64
    assert sum(count for number, count in batches) == left
    assert min(count for _, count in batches) >= 2
    # Counted on from where the images are, as if all had been of that size.
    assert abs(numbers[-1] - images / batch_size) <= 2
    assert [record.epoch for record in records] == [2]
    steps = -(-left // batch_size)  # the cosine goes on where it was, and has its end
    assert records[0].learning_rate <= recipe.learning_rate / (10 if steps > 2 else 2)
    assert open_run(stopped.folder).config.changes[0]["what"] == said


def test_a_finished_run_goes_on_as_if_it_had_been_longer(registry, tmp_path, with_pictures):
    longer = make_run(registry, tmp_path / "longer", epochs=3, schedule="constant")
    train(registry, longer)
    run = make_run(registry, tmp_path / "run", epochs=2, schedule="constant")
    train(registry, run)
    of_the_end = [run.folder / name for name in OF_THE_END]
    assert all(path.exists() for path in of_the_end)
    told, said = [], []
    records = train(
        registry,
        with_epochs(run, 3),
        note=said.append,
        on_step=lambda progress: told.extend(path for path in of_the_end if path.exists()),
    )
    assert [record.epoch for record in records] == [3]
    assert told == []  # while it goes on, nothing tells of the end that it had
    assert said == ["epochs was 2, is 3"]
    assert state_of(run) == state_of(longer)
    assert run.result["epochs"] == 3


def test_under_a_schedule_with_an_end_longer_is_not_the_same(registry, whole, tmp_path):
    run = open_run(shutil.copytree(whole.folder, tmp_path / "run"))
    said = []
    train(registry, with_epochs(run, 3), note=said.append)
    assert said == ["not bit-exact: epochs was 2, is 3"]


def test_images_that_grow_do_so_by_the_number_of_epochs(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", "airbench_mini", epochs=1, start_size=0.75)
    train(registry, run)
    said = []
    train(registry, with_epochs(run, 2), note=said.append)
    assert said == ["not bit-exact: epochs was 1, is 2"]


def test_the_result_tells_of_the_weights_that_are_kept(registry, tmp_path):
    """Killed after the best weights and before the state, and gone on with otherwise."""
    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run)
    kept = read_checkpoint(run.best)
    ahead = dataclasses.replace(kept, state={"epoch": 7, "val_accuracy": 0.75}, extra={})
    save_checkpoint(run.best, ahead)
    (run.folder / "result.json").unlink()
    said = []
    train(registry, open_run(run.folder), note=said.append)
    assert (run.result["best_epoch"], run.result["val_accuracy"]) == (7, 0.75)
    assert any("best weights are of another epoch 7" in text for text in said)


def with_epochs(run, epochs):
    run = open_run(run.folder)
    return run.changed(recipe=dataclasses.replace(run.config.recipe, epochs=epochs))


def test_a_checkpoint_of_another_network_or_run_is_refused(registry, stopped, tmp_path):
    checkpoint = read_checkpoint(stopped.last)
    stopped.previous.unlink()
    for changes, said in (
        ({"architecture": "simple_cnn"}, "made for 'simple_cnn', not 'mlp'"),
        ({"classes": tuple("abcdefghij")}, "classes differ"),
    ):
        contract = dataclasses.replace(checkpoint.contract, **changes)
        save_checkpoint(stopped.last, dataclasses.replace(checkpoint, contract=contract))
        before = stopped.last.read_bytes()
        with pytest.raises(ModelFileError, match=said):
            train(registry, stopped)
        assert stopped.last.read_bytes() == before


def test_weights_alone_are_nothing_to_go_on_from(registry, stopped):
    stopped.last.write_bytes(stopped.best.read_bytes())
    stopped.previous.unlink()
    with pytest.raises(ModelFileError, match="holds weights alone"):
        train(registry, stopped)


def test_a_run_whose_plugin_is_gone_names_its_package(registry, stopped):
    from cnnreg.errors import PluginError

    others = [e for e in registry.architectures.entries if e.spec.name != "mlp"]
    without = dataclasses.replace(registry, architectures=Catalog("architecture", others))
    with pytest.raises(PluginError, match="It came from: cnn-registry") as caught:
        train(without, stopped)
    assert caught.value.exit_code == 6


def test_metrics_that_were_torn_or_not_written_come_back(registry, stopped, whole):
    metrics = stopped.folder / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:-20])
    train(registry, stopped)
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    metrics.unlink()
    train(registry, open_run(stopped.folder))  # nothing left to train
    assert len(metrics.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        (lambda facts: facts.update(validation="another"), True),
        (lambda facts: (facts.pop("validation"), facts.update(data="another")), True),
        (lambda facts: facts.update(images=facts["images"] + 1), False),
    ],
    ids=["validation", "an older version", "training"],
)
def test_what_other_images_judged_best_is_no_measure_for_what_comes(
    registry, stopped, change, anew
):
    """Else patience ends the training with weights that have not seen the new images."""
    edit_facts(stopped, change)
    checkpoint = read_checkpoint(stopped.last)
    checkpoint.state["progress"]["history"][0].update(val_accuracy=1.0, val_loss=0.0, best=True)
    save_checkpoint(stopped.last, checkpoint)
    recipe = dataclasses.replace(stopped.config.recipe, epochs=3, patience=1)
    records = train(registry, stopped.changed(recipe=recipe))
    assert any(record.best for record in records) == anew
    # What the file of the best weights says, not the history that was edited.
    assert (stopped.result["best_epoch"] > 1) == anew
