"""Opening, asking and measuring a model; training one from Python."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import cnnreg
from cnnreg import DataError, MachineError, ModelFileError, PluginError, UsageError
from cnnreg.errors import UnknownNameError
from cnnreg.eval_data import Examples, Seen
from cnnreg.runs.report import read_report
from cnnreg.using import evaluate, load, predict


@pytest.fixture(scope="module")
def run(registry, tmp_path_factory):
    epochs = []
    run = cnnreg.train(
        "mlp",
        image_size=8,
        epochs=3,
        output=tmp_path_factory.mktemp("runs") / "run",
        on_epoch=epochs.append,
        registry=registry,
    )
    assert [record.epoch for record in epochs] == [1, 2, 3]
    return run


@pytest.fixture(scope="module")
def model(registry, run):
    return load(run.folder, registry=registry)


def test_an_evaluation_is_what_training_measured(model, run):
    found = evaluate(model)
    assert found.accuracy == pytest.approx(run.result["test_accuracy"])
    assert found.right == round(found.accuracy * found.images)
    assert evaluate(model, split="val").accuracy == pytest.approx(run.result["val_accuracy"])


def test_an_evaluation_is_what_the_training_reported_class_by_class(model, run):
    found, report = evaluate(model), read_report(run.report)
    assert found.classes == report.classes
    assert found.confusion == report.confusion
    assert found.interval[0] < found.accuracy < found.interval[1]
    assert found.top5 is None  # of ten classes


def test_of_many_classes_the_five_likeliest_are_told(model, monkeypatch):
    """A label among them is right, wherever it stands."""
    contract = replace(
        model.file.contract, num_classes=20, classes=tuple(map(str, range(20))), dataset=""
    )
    many = replace(model, file=replace(model.file, contract=contract))
    logits = np.zeros((4, 20), np.float32)
    for row, label in enumerate((0, 7, 7, 19)):
        logits[row, [2, 3, 4, 5, 6]] = 9, 8, 7, 6, 5
        logits[row, label] = (10, 6.5, 4, 1)[row]
    part = SimpleNamespace(
        labels=np.array([0, 7, 7, 19]), pixels=np.zeros((4, 8, 8, 1), np.uint8), remarks=list
    )
    chosen = Examples(parts=[part], split="test", label="x", folder=None)
    monkeypatch.setattr("cnnreg.using.Asked.examples", lambda self, split: chosen)
    found = evaluate(replace(many, session=Answering(logits)))
    assert (found.accuracy, found.top5) == (0.25, 0.5)


def test_where_downloads_lie_may_be_a_text(model, tmp_path):
    assert evaluate(model, data_dir=str(tmp_path)).images == 360


@pytest.mark.parametrize("data", [None, "digits"])
def test_every_image_is_measured_if_asked(model, data):
    found = evaluate(model, data=data, split="all")
    assert (found.images, found.split) == (1797, "all")
    seen = Seen(trained_on=1298, chosen_by=139, alike=0, never_seen=360)
    assert (found.seen, found.remark) == (seen, str(seen))


def test_a_file_and_its_pixels_get_the_same_answer(model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    guesses = predict(model, tmp_path / "picture.png", top=10)
    assert guesses == predict(model, pixels, top=10)
    assert sum(guess.probability for guess in guesses) == pytest.approx(1)
    assert sorted(guess.name for guess in guesses) == sorted(model.classes)


def test_what_is_no_picture_is_refused(model, tmp_path):
    with pytest.raises(DataError, match=r"uint8 \[H, W, 1 or 3\], not float32"):
        predict(model, np.zeros((8, 8, 3), np.float32))
    with pytest.raises(DataError, match=r"not uint8 \[0, 5, 3\]"):
        predict(model, np.zeros((0, 5, 3), np.uint8))
    for top in (0, -1, 2.0):
        with pytest.raises(UsageError, match="top must be"):
            predict(model, np.zeros((8, 8, 3), np.uint8), top=top)
    with pytest.raises(DataError, match="not Image.*numpy.asarray"):
        predict(model, Image.new("RGB", (8, 8)))
    with pytest.raises(DataError):
        predict(model, tmp_path / "none.png")


class Numberless:
    """An engine whose device answers with one NaN, or infinity."""

    def __init__(self, session, device, value):
        self.session, self.device, self.value = session, device, value

    def prepare(self, images):
        return self.session.prepare(images)

    def infer(self, inputs):
        logits = self.session.infer(inputs).copy()
        logits[-1, 3] = self.value
        return logits

    def describe(self):
        return {"device": self.device}


class Answering:
    """An engine that always gives the same answer."""

    def __init__(self, answer):
        self.answer = answer

    def prepare(self, images):
        return images

    def infer(self, inputs):
        print("an engine")
        return self.answer

    def describe(self):
        return {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("device", "kind"), [("GPU.0", MachineError), ("CPU", ModelFileError)])
def test_what_is_no_number_is_no_answer(model, value, device, kind):
    broken = replace(model, session=Numberless(model.session, device, value))
    with pytest.raises(kind, match=f"PyTorch answered with NaN or infinity on {device}"):
        predict(broken, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(kind, match="NaN or infinity"):
        evaluate(broken)


@pytest.mark.parametrize("answer", [None, [[0.0] * 10], np.zeros(10, np.float32)])
def test_an_engine_that_gives_no_answer_is_blamed(model, answer):
    session = Answering(answer)
    with pytest.raises(PluginError, match="PyTorch failed: TypeError: infer gave") as caught:
        predict(replace(model, session=session), np.zeros((8, 8, 3), np.uint8))
    assert "--runtime" in caught.value.hint


def test_what_an_engine_prints_is_no_result(model, capsys):
    answer = np.zeros((1, 10), np.float32)
    predict(replace(model, session=Answering(answer)), np.zeros((8, 8, 3), np.uint8))
    assert capsys.readouterr() == ("", "an engine\n")


def test_an_answer_for_other_classes_is_refused(model):
    session = Answering(np.zeros((1, 7), np.float32))
    with pytest.raises(ModelFileError, match="7 logits for each image, but the model has 10"):
        predict(replace(model, session=session), np.zeros((8, 8, 3), np.uint8))


def test_a_split_that_is_not_there_is_named(model):
    with pytest.raises(UsageError, match="'holdout'"):
        evaluate(model, split="holdout")


def test_settings_that_do_not_exist_are_named(registry):
    with pytest.raises(UsageError, match="'epoch'"):
        cnnreg.train("mlp", epoch=3, registry=registry)


def test_settings_go_by_their_flags_names_too(registry, tmp_path):
    run = cnnreg.train("mlp", lr=0.01, epochs=1, output=tmp_path / "run", registry=registry)
    assert run.config.recipe.learning_rate == 0.01


def test_what_is_no_model_is_refused(run, model):
    assert evaluate(run.folder).right == evaluate(model).right
    picture = np.zeros((8, 8, 1), np.uint8)
    assert predict(str(run.folder), picture) == predict(model, picture)
    for verb in (load, evaluate, cnnreg.export):
        with pytest.raises(UsageError, match="A model is a run, or a path, not int"):
            verb(3)


def test_a_run_is_named_by_itself_too(registry, run, model, tmp_path, monkeypatch):
    monkeypatch.setattr("cnnreg.timing.turns.SETTLE", 0)
    assert load(run, registry=registry).classes == model.classes
    race = cnnreg.benchmark(run, rounds=1, seconds=0.01, warmup=0.01, threads=1, registry=registry)
    assert [result.model for result in race.results] == [str(run.best)]
    monkeypatch.setattr("cnnreg.verbs.find_run", lambda: run)
    newest = cnnreg.benchmark(rounds=1, seconds=0.01, warmup=0.01, threads=1, registry=registry)
    assert [result.model for result in newest.results] == [str(run.best)]
    again = cnnreg.train(
        "mlp", image_size=8, epochs=1, weights=run, output=tmp_path / "run", registry=registry
    )
    assert again.config.weights == str(run.folder)


def test_a_run_goes_by_its_name_in_every_verb(registry, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run.folder, "runs/first")
    assert load("first", registry=registry).path == Path("runs", "first")
    with pytest.raises(UnknownNameError):  # of the format: the run was found
        cnnreg.export("first", "tflite", registry=registry)
    again = cnnreg.train("mlp", image_size=8, epochs=1, weights="first", registry=registry)
    assert again.config.weights == str(Path("runs", "first").absolute())


def test_what_is_measured_on_has_its_name_and_place(model, tmp_path):
    for label in model.classes:
        (tmp_path / "my photos" / label).mkdir(parents=True)
        for number in range(5):
            picture = Image.new("L", (8, 8), number)
            picture.save(tmp_path / "my photos" / label / f"{number}.png")
    found = evaluate(model, data=tmp_path / "my photos")
    assert (found.data, found.folder) == ("my_photos", tmp_path / "my photos")
    assert (evaluate(model).data, evaluate(model).folder) == ("digits", None)


def test_what_cannot_be_read_is_told(model, tmp_path):
    for split, count in (("train", 10), ("test", 2)):
        for label in model.classes:
            folder = tmp_path / "photos" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("L", (8, 8), number).save(folder / f"{number}.png")
    (folder / "1.png").write_bytes(b"no picture")
    told = []
    assert evaluate(model, data=tmp_path / "photos", note=told.append).images == 19
    (note,) = told
    assert note.startswith(f"skipped an unreadable test image: {folder / '1.png'}")


@pytest.mark.parametrize(
    "settings",
    [
        {"resize": "foo"},
        {"image_size": -1},
        {"val_fraction": 2},
        {"form": "big"},
        {"dropout": 2},
        {"epochs": "3"},
        {"weights": "nothing.safetensors"},
        {"image_size": "32"},
        {"image_size": 28.5},
        {"image_size": 8.0},
        {"dropout": "0.2"},
        {"optimizer": 3},
        {"epochs": 2.0},
        {"epochs": np.int64(1)},
        {"seed": True},
    ],
    ids=str,
)
def test_wrong_settings_are_errors_that_a_person_can_act_on(registry, tmp_path, settings):
    with pytest.raises(cnnreg.CnnregError):
        cnnreg.train("mlp", output=tmp_path / "run", registry=registry, **settings)
    assert not (tmp_path / "run").exists()


def test_a_benchmark_of_nothing_is_refused(registry, run):
    for settings in (
        {"rounds": 0}, {"rounds": "2"}, {"rounds": 1.5}, {"batch": 0}, {"seconds": 0},
        {"seconds": float("nan")}, {"warmup": -1},
    ):  # fmt: skip
        with pytest.raises(UsageError, match="above 0"):
            cnnreg.benchmark(run, registry=registry, **settings)
    with pytest.raises(UsageError, match="There is no such run"):
        cnnreg.export("nope", registry=registry)


def test_a_named_device_that_fails_in_use_is_an_error_that_holds_the_others(monkeypatch):
    raced = SimpleNamespace(failure=MachineError("The driver was reset."), results=["a result"])
    monkeypatch.setattr("cnnreg.verbs.race", lambda *args, **options: raced)
    with pytest.raises(MachineError, match="was reset") as caught:
        cnnreg.benchmark("model.xml", registry=object())
    assert caught.value.finished == ["a result"]


@pytest.mark.parametrize("threads", [0, -1, 20_000, 2.0])
def test_a_number_of_threads_that_would_end_the_process_is_refused(registry, run, threads):
    for use in (load, cnnreg.benchmark):
        with pytest.raises(UsageError, match="threads must be a whole number from 1 to 256"):
            use(run, threads=threads, registry=registry)


@pytest.mark.parametrize(
    "settings",
    [{"max_drop": "x"}, {"max_drop": -1}, {"max_drop": 101}, {"max_minutes": float("nan")}],
)
def test_a_budget_is_a_number(registry, run, settings):
    with pytest.raises(UsageError, match="must be a number from 0 to"):
        cnnreg.export(run, registry=registry, **settings)
