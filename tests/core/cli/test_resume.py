"""`cnnreg resume`: what it refuses unless told, and what it says when told."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from cnnreg.cli import resume
from cnnreg.errors import StoppedError
from cnnreg.files import in_use, sole_writer, typed
from cnnreg.runs import open_run
from cnnreg.runs.report import read_report
from cnnreg.training.saving.checkpoint import read_checkpoint
from helpers import cli, make_run, photos, refused, stop_at, train


@pytest.fixture(scope="module")
def stopped_run(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("stopped") / "run", batch_size=256)
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(3))
    return run


@pytest.fixture
def stopped(stopped_run, tmp_path):
    return open_run(shutil.copytree(stopped_run.folder, tmp_path / "run"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--batch-size", "64"], "trained with batch size 256; with 64"),
        (["--lr", "0.01"], "trained with learning rate 0.003; with 0.01"),
        (["--accumulate", "2"], "trained with accumulate 1; with 2"),
        (["--batch-size", "1"], "batch size must be at least 2"),
        (["--optimizer", "sgd"], "No such option"),
        (["--form", "small"], "No such option"),
    ],
)
def test_another_training_is_refused(stopped, flags, said):
    before = content(stopped.folder)
    code, out, err = cli("resume", stopped.folder, *flags)
    assert (code, out) == (2, "")
    assert said in err
    assert content(stopped.folder) == before


def test_told_so_it_goes_on_says_it_and_keeps_it(stopped):
    code, out, err = cli(
        "resume",
        stopped.folder,
        "--batch-size",
        "128",
        "--lr",
        "0.002",
        "--accept-changes",
        "--json",
    )
    assert code == 0, err
    assert json.loads(out)["epochs"] == 2
    assert "note: not bit-exact: batch size was 256, is 128" in err
    assert "note: not bit-exact: learning rate was 0.003, is 0.002" in err
    config = open_run(stopped.folder).config
    assert (config.recipe.batch_size, config.recipe.learning_rate) == (128, 0.002)
    (change,) = json.loads((stopped.folder / "run.json").read_text())["changes"]
    assert (change["epoch"], change["step"], len(change["what"])) == (0, 6, 2)
    assert change["at"] > config.created


def test_a_finished_run_goes_on_with_more_epochs(stopped):
    assert cli("resume", stopped.folder)[0] == 0
    code, _, err = cli("resume", stopped.folder)
    assert code == 2
    assert "has finished, after 2 epochs" in err
    assert "--epochs" in err
    for fewer in "12":
        code, _, err = cli("resume", stopped.folder, "--epochs", fewer)
        assert (code, "Train it longer with --epochs 12" in err) == (2, True), err
    code, out, err = cli("resume", stopped.folder, "--epochs", "3", "--json")
    assert code == 0, err
    assert json.loads(out)["epochs"] == 3
    assert "test images were measured after epoch 2 already" in err
    assert read_checkpoint(stopped.last).state["progress"]["epoch"] == 3


def test_fewer_epochs_than_are_done_are_refused(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", batch_size=256, epochs=4)
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(14))
    before = content(run.folder)
    refused(2, "2 epochs are done already", "resume", run.folder, "--epochs", "1")
    assert content(run.folder) == before
    (run.folder / "metrics.jsonl").write_text('{"epoch": 1, "tra')  # written anew going on
    assert cli("resume", run.folder, "--epochs", "3")[0] == 0


def test_a_run_out_of_patience_needs_more_of_it(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=9, learning_rate=1e-12, patience=1)
    train(registry, run)
    code, _, err = cli("resume", run.folder)
    assert code == 2
    assert "--patience 2" in err
    code, out, err = cli("resume", run.folder, "--patience", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["epochs"] == 3


@pytest.fixture(scope="module")
def photo_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    photos(folder / "photos", 40)
    code, _, err = cli(
        "train", "mlp", "--data", folder / "photos", "--epochs", "1", "--batch-size", "16",
        "--precision", "fp32", "--layout", "channels-last", "--compile", "off",
        "--output", folder / "run",
    )  # fmt: skip
    assert code == 0, err
    return folder


@pytest.fixture
def changed(photo_run, tmp_path):
    """A run's folder, and its images: two added, one removed, one that is another now."""
    run = shutil.copytree(photo_run / "run", tmp_path / "run")
    data = shutil.copytree(photo_run / "photos", tmp_path / "photos")
    for name in ("x", "y"):
        Image.new("RGB", (32, 32)).save(data / "cat" / f"{name}.png")
    (data / "dog" / "000.png").unlink()
    Image.effect_noise((32, 32), 50).convert("RGB").save(data / "dog" / "001.png")
    return run, data


def test_changed_images_are_counted_and_refused(changed):
    run, data = changed
    code, _, err = cli("resume", run, "--data", data, "--epochs", "2")
    assert code == 3
    assert "since this run was trained on it: 2 images added, 1 removed, 1 changed." in err
    assert "with --data or --data-dir, or say --accept-data to go on with it." in err


def test_data_that_were_moved_are_asked_for_and_known_from_then_on(
    photo_run, tmp_path, monkeypatch
):
    run = shutil.copytree(photo_run / "run", tmp_path / "run")
    config = json.loads((run / "run.json").read_text(encoding="utf-8"))
    config["data"]["folder"] = str(tmp_path / "disk" / "photos")
    (run / "run.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.copytree(photo_run / "photos", tmp_path / "here")
    for command in (["eval", run], ["resume", run, "--epochs", "2"], ["export", run, "--onnx"]):
        code, _, err = cli(*command)
        assert (code, "Name where it lies now with --data." in err) == (3, True), err
    (tmp_path / "disk" / "photos").mkdir(parents=True)  # as where nothing is mounted
    assert "Name where it lies now with --data." in cli("eval", run)[2]
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("resume", run, "--epochs", "2", "--data", "here")
    assert code == 0, err
    monkeypatch.chdir(run)
    assert open_run(run).config.data.folder == tmp_path / "here"
    assert cli("eval", run)[0] == 0
    assert cli("resume", run, "--epochs", "3")[0] == 0


def test_a_wrong_folder_is_asked_about(changed, tmp_path):
    run, _ = changed
    other = photos(tmp_path / "others", 20)
    for path in other.glob("*/*.png"):
        path.rename(path.with_name(f"another {path.name}"))
    code, _, err = cli("resume", run, "--data", other, "--epochs", "2")
    assert code == 3
    assert "Is this another folder? Name where the run's own lies now, or say --accept-data" in err
    config = json.loads((run / "run.json").read_text(encoding="utf-8"))
    config["data"]["folder"] = str(other)  # as if its own had been changed that much
    (run / "run.json").write_text(json.dumps(config), encoding="utf-8")
    _, _, err = cli("resume", run, "--epochs", "2")
    assert "Restore it, name where it lies now" in err


@pytest.mark.parametrize(
    ("flags", "taken"), [([], "older"), (["--epochs", "1"], "newer"), (["--lr", "1"], "older")]
)
def test_without_a_name_what_stopped_is_gone_on_with(
    registry, stopped, photo_run, tmp_path, monkeypatch, flags, taken
):
    """The newest run may have finished, or hold weights alone."""
    monkeypatch.chdir(tmp_path)
    for name, content in (("older", stopped.folder), ("newer", photo_run / "run")):
        shutil.copytree(content, Path("runs", name))
    make_run(registry, Path("runs", "weights"))
    data = json.loads(Path("runs", "weights", "run.json").read_text(encoding="utf-8"))
    data["imported"] = {"file": "model.pt", "sha256": ""}
    Path("runs", "weights", "run.json").write_text(json.dumps(data), encoding="utf-8")
    refused = ["--device", "cuda:77"]
    code, _, err = cli("resume", *flags, *refused)
    assert f"note: no run was named: taking {Path('runs', taken)}\n" in err
    code, _, err = cli("resume", "newer", *refused)
    assert (code, "no run was named" in err, "has finished" in err) == (2, False, True)


def test_changed_images_are_accepted_if_told(changed):
    run, data = changed
    before = places_of(run)
    code, _, err = cli("resume", run, "--data", data, "--epochs", "2", "--accept-data")
    assert code == 0, err
    assert "note: the images have changed: 2 images added, 1 removed, 1 changed\n" in err
    now = places_of(run)
    stayed = before.keys() & now.keys()
    assert len(stayed) == 79
    assert all(before[name] == now[name] for name in stayed)  # none trained on is held out now
    assert "not bit-exact: the images have changed" in err
    config = open_run(run).config
    assert any("images have changed" in text for text in config.changes[0]["what"])
    assert len((run / "images.jsonl").read_text().splitlines()) == 81
    code, _, err = cli("resume", run, "--data", data, "--epochs", "3")
    assert code == 0, err
    assert "changed" not in err


def places_of(run):
    lines = (run / "images.jsonl").read_text(encoding="utf-8").splitlines()
    return {name: split for split, _, name in map(json.loads, lines)}


@pytest.mark.parametrize("result", [{}, [1], {"epochs": 3}, {"test_accuracy": "x"}])
def test_a_damaged_result_is_named(photo_run, tmp_path, result):
    run = shutil.copytree(photo_run / "run", tmp_path / "run")
    (run / "result.json").write_text(json.dumps(result))
    for command in (["resume", run], ["export", run, "--onnx"]):
        code, _, err = cli(*command)
        assert (code, "Damaged result" in err) == (4, True), command


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_that_are_no_text_or_no_line(tmp_path):
    data = photos(tmp_path / "photos", 40)
    odd = [b"caf\xe9.png", b"a\nb.png", "a\u2028b.png".encode()]
    try:
        for label in ("cat", "dog"):
            for number, name in enumerate(odd):
                (data / label / f"{number:03}.png").rename(
                    os.fsdecode(bytes(data / label) + b"/" + name)
                )
    except OSError:
        pytest.skip("this file system takes text alone")
    plain = ("--precision", "fp32", "--layout", "channels-last", "--compile", "off")
    run = tmp_path / "run"
    code, _, err = cli(
        "train", "mlp", "--data", data, "--epochs", "1", "--lr", "1e-9", *plain, "--output", run
    )
    assert code == 0, err
    listed = [json.loads(line)[2] for line in (run / "images.jsonl").open(encoding="utf-8")]
    assert {f"cat/{os.fsdecode(name)}" for name in odd} <= set(listed)
    assert len(listed) == 80
    assert all(Path(mistake.file).exists() for mistake in read_report(run / "report.json").mistakes)
    Image.new("RGB", (32, 32)).save(data / "cat" / "more.png")
    code, _, err = cli("resume", run, "--epochs", "2")
    assert code == 3
    assert ": 1 image added." in err
    assert cli("resume", run, "--epochs", "2", "--accept-data")[0] == 0
    code, out, err = cli("runs", "show", run, "--json")
    assert code == 0, err
    json.loads(out)


def test_a_resume_that_is_refused_leaves_the_run_as_it_was(changed):
    """All that it would have written: the recipe, the images, and no result any more."""
    run, data = changed
    wanted = ("resume", run, "--data", data, "--epochs", "2", "--accept-data")
    assert cli("resume", run, "--data", data, "--epochs", "2")[0] == 3
    before = content(run)
    assert cli(*wanted, "--device", "cuda:77")[0] == 5
    assert content(run) == before
    with sole_writer(run):
        code, _, err = cli(*wanted)
    assert (code, "In use by another process" in err) == (5, True)
    assert content(run) == before
    (run / "last.safetensors").write_bytes(before["last.safetensors"][:-10])
    before = content(run)
    assert cli(*wanted)[0] == 4
    assert content(run) == before


def test_a_run_is_its_alone_from_before_it_is_read(stopped, monkeypatch):
    """Else what another command changes meanwhile would be overwritten."""
    held = []

    def as_it_is(folder):
        held.append(in_use(folder))
        return open_run(folder)

    monkeypatch.setattr(resume, "open_run", as_it_is)
    assert cli("resume", stopped.folder)[0] == 0
    assert held == [True]
    assert not in_use(stopped.folder)


@pytest.mark.parametrize("folder", ["nowhere", ""])
def test_images_that_come_with_the_package_lie_nowhere_else(stopped, tmp_path, folder):
    before = content(stopped.folder)
    code, _, err = cli("resume", stopped.folder, "--data", tmp_path / folder)
    assert (code, "comes with an installed package" in err) == (2, True)
    assert content(stopped.folder) == before


def test_the_newest_that_is_taken_says_that_it_has_not_finished(stopped, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    stopped.folder.rename(tmp_path / "runs" / "a")
    monkeypatch.chdir(tmp_path)
    _, _, err = cli("eval")
    assert f"taking {Path('runs', 'a')}, stopped" in err


def test_without_its_checkpoint_a_run_is_not_begun_anew(stopped):
    assert cli("resume", stopped.folder)[0] == 0
    stopped.last.unlink()
    before = content(stopped.folder)
    code, _, err = cli("resume", stopped.folder, "--epochs", "3")
    assert code == 4
    assert "The checkpoint that this run would go on from is missing." in err
    assert "Put it back, or train anew" in err
    assert content(stopped.folder) == before
    stopped.best.unlink()  # the metrics tell of it still
    assert cli("resume", stopped.folder, "--epochs", "3")[0] == 4


def test_a_run_killed_before_its_first_save_is_begun_anew(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=1, batch_size=256)
    code, _, err = cli("resume", run.folder)
    assert code == 0, err


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_other_classes_are_refused_even_if_told(changed):
    run, data = changed
    photos(data, 40, labels=("bird",))
    code, _, err = cli("resume", run, "--data", data, "--epochs", "2", "--accept-data")
    assert code == 3
    assert "other classes than the model: bird added." in err
    assert f"cnnreg train mlp --weights {typed(run)} --data {typed(data)}" in err


def test_without_the_list_of_images_it_is_refused_without_counts(changed):
    run, data = changed
    (run / "images.jsonl").write_text("{")
    code, _, err = cli("resume", run, "--data", data, "--epochs", "2")
    assert code == 3
    assert "since this run was trained on it." in err


def test_a_run_whose_network_or_data_set_is_not_installed(stopped, monkeypatch):
    monkeypatch.setenv("CNNREG_PLUGINS", "digits,optimizers")
    code, _, err = cli("resume", stopped.folder)
    assert code == 6
    assert "It came from: cnn-registry" in err
    monkeypatch.setenv("CNNREG_PLUGINS", "mlp,optimizers")
    code, _, err = cli("resume", stopped.folder)
    assert code == 6
    assert "data set 'digits' is not installed" in err


def test_an_update_of_the_plugin_is_said(stopped, monkeypatch):
    path = stopped.folder / "last.safetensors"
    content = read_checkpoint(path)
    made = {**content.state["made_with"], "plugin": "cnn-registry 0.0.1"}
    from dataclasses import replace

    from cnnreg.training.saving.checkpoint import save_checkpoint

    save_checkpoint(path, replace(content, state={**content.state, "made_with": made}))
    code, _, err = cli("resume", stopped.folder)
    assert code == 0, err
    assert "note: not bit-exact: plugin was cnn-registry 0.0.1, is cnn-registry" in err


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_pixels_in_a_file_train_the_same(photo_run, tmp_path, monkeypatch):
    from cnnreg.data import cache

    monkeypatch.setattr(cache, "LARGE", 0)
    code, _, err = cli(
        "train", "mlp", "--data", photo_run / "photos", "--epochs", "1", "--batch-size", "16",
        "--precision", "fp32", "--layout", "channels-last", "--compile", "off",
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    assert "decoded once" in err
    assert list((photo_run / "photos/.cnnreg-cache/folder").glob("train-*/pixels.bin"))
    assert (
        open_run(tmp_path / "run").best.read_bytes()
        == (photo_run / "run" / "best.safetensors").read_bytes()
    )
