"""`cnnreg eval` on images of a user's own: which they are, and what the model knows of them."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from helpers import cli, photos

PLAIN = [
    "--batch-size",
    "16",
    "--precision",
    "fp32",
    "--layout",
    "channels-last",
    "--compile",
    "off",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with photos, and a run on them."""
    folder = tmp_path_factory.mktemp("trained")
    photos(folder / "photos", 40)
    code, _, err = cli(
        "train", "mlp", "--data", folder / "photos", "--epochs", "1", *PLAIN, "--output",
        folder / "run",
    )  # fmt: skip
    assert code == 0, err
    return folder


@pytest.fixture
def place(trained, tmp_path):
    """A copy of both."""
    return shutil.copytree(trained, tmp_path / "copy")


def evaluated(*arguments):
    code, out, err = cli("eval", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_an_export_away_from_its_run_says_when_its_splits_are_not_the_runs(place):
    """Where images were added, seed and shares alone make others."""
    run, data, out = place / "run", place / "photos", place / "out"
    assert cli("export", run, "--data", data, "--onnx", "--output", out)[0] == 0
    assert evaluated(out / "onnx-fp32", "--data", data)["remark"] == ""
    photos(data, 60)
    code, _, err = cli("resume", run, "--data", data, "--epochs", "2", "--accept-data")
    assert code == 0, err
    assert cli("export", run, "--data", data, "--onnx", "--output", out)[0] == 0
    (moved := place / "model.onnx").write_bytes((out / "onnx-fp32" / "model.onnx").read_bytes())
    for model in (out / "onnx-fp32", moved):
        assert "it was trained on is not known" in evaluated(model, "--data", data)["remark"]
        assert "evaluate the run itself" in cli("eval", model, "--data", data)[1]
    assert "not known" not in evaluated(run, "--data", data)["remark"]


def test_of_all_of_its_own_a_model_says_on_how_many_it_was_trained(place):
    run, data, out = place / "run", place / "photos", place / "out"
    assert cli("export", run, "--data", data, "--onnx", "--output", out)[0] == 0
    seen = {"trained_on": 58, "chosen_by": 6, "alike": 0, "never_seen": 16}
    data.rename(place / "moved")
    away = evaluated(out / "onnx-fp32", "--data", place / "moved", "--split", "all")
    assert (away["images"], away["seen"]) == (80, seen)
    (place / "moved").rename(data)
    assert cli("resume", run, "--data", data, "--epochs", "2")[0] == 0
    assert evaluated(run, "--split", "all")["seen"] == seen


def test_of_imported_weights_nobody_knows_what_they_have_seen(place):
    from safetensors.torch import load_file, save_file

    save_file(load_file(place / "run" / "best.safetensors"), place / "plain.safetensors")
    data = ["--data", place / "photos"]
    code, _, err = cli(
        "import", place / "plain.safetensors", "--arch", "mlp", *data, "--output", place / "theirs"
    )
    assert code == 0, err
    for named in ([], data, [*data, "--split", "all"]):
        found = evaluated(place / "theirs", *named)
        assert found["seen"] is None
        assert found["remark"] == "which of these it was trained on is not known"


def others(folder, count, labels=("cat", "dog")):
    """Pictures of names that the run does not know."""
    for path in photos(folder, count, labels).glob("*/*.png"):
        path.rename(path.with_name(f"new {path.name}"))
    return folder


@pytest.mark.parametrize(
    ("folder", "labels", "count"),
    [("", ("cat", "dog"), 50), ("", ("cat", "dog"), 1), ("", ("dog",), 3), ("test", ("cat",), 7)],
)
def test_of_another_folder_every_picture_is_tested(trained, tmp_path, folder, labels, count):
    others(tmp_path / "new" / folder, count, labels)
    found = evaluated(trained / "run", "--data", tmp_path / "new")
    images = count * len(labels)
    assert (found["split"], found["images"]) == ("all", images)
    assert found["remark"] == f"0 of them it was trained on, {images} it has never seen"
    code, out, _ = cli("eval", trained / "run", "--data", tmp_path / "new")
    assert (code, "on every image of new" in out, found["remark"] in out) == (0, True, True)
    assert [one["support"] for one in found["classes"]] == [
        count if name in labels else 0 for name in ("cat", "dog")
    ]
    assert sum(map(sum, found["confusion"])) == images
    low, high = (100 * end for end in found["interval"])
    assert f" of {images}; {low:.0f} to {high:.0f} %)" in out


def test_labels_are_known_by_their_names(trained, tmp_path):
    """A folder of dogs alone is no folder of the first class."""
    both = evaluated(trained / "run", "--data", trained / "photos", "--split", "all")
    shutil.copytree(trained / "photos" / "dog", tmp_path / "dogs" / "dog")
    shutil.copytree(trained / "photos" / "cat", tmp_path / "cats" / "cat")
    alone = [evaluated(trained / "run", "--data", tmp_path / name) for name in ("dogs", "cats")]
    assert sum(one["accuracy"] * 40 for one in alone) == pytest.approx(both["accuracy"] * 80)
    assert [one["seen"] for one in alone] == [
        {"trained_on": 29, "chosen_by": 3, "alike": 0, "never_seen": 8}
    ] * 2


def test_own_pictures_moved_by_hand_are_told(trained, tmp_path):
    for split, numbers in (("train", range(20)), ("test", range(20, 40))):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in numbers:
                name = f"{label}/{number:03}.png"
                shutil.copy(trained / "photos" / name, tmp_path / split / name)
    found = evaluated(trained / "run", "--data", tmp_path)
    assert (found["split"], found["images"]) == ("test", 40)
    trained_on = found["seen"]["trained_on"]
    assert trained_on > 20
    assert found["remark"].startswith(f"{trained_on} of them it was trained on, ")
    assert sum(found["seen"].values()) == 40


def test_the_runs_own_are_tested_on_what_it_held_out_wherever_they_lie(place):
    own = evaluated(place / "run")
    data = (place / "photos").rename(place / "moved")
    moved = evaluated(place / "run", "--data", data)
    assert (moved["split"], moved["images"], moved["accuracy"]) == ("test", 16, own["accuracy"])
    assert moved["remark"] == "0 of them it was trained on, 16 it has never seen"
    assert own["remark"] == ""
    photos(data, 60)
    grown = evaluated(place / "run", "--data", data)
    assert (grown["split"], grown["images"]) == ("test", 24)
    assert grown["seen"]["trained_on"] == 0
    everything = evaluated(place / "run", "--data", data, "--split", "all")
    assert everything["images"] == 120
    assert everything["seen"] == {
        "trained_on": 58, "chosen_by": 6, "alike": 0, "never_seen": 56,
    }  # fmt: skip


def test_names_and_sizes_that_two_splits_share_make_no_image_a_trained_one(tmp_path):
    for split, shade in (("train", 40), ("test", 90)):
        for label, more in (("cat", 0), ("dog", 100)):
            (tmp_path / "data" / split / label).mkdir(parents=True)
            for number in range(10):
                picture = Image.new("RGB", (32, 32), (shade + more, number, 0))
                picture.save(tmp_path / "data" / split / label / f"{number}.bmp")
    run, data = tmp_path / "run", ("--data", tmp_path / "data")
    code, _, err = cli("train", "mlp", *data, "--epochs", "1", *PLAIN, "--output", run)
    assert code == 0, err
    found = evaluated(run, *data)
    assert found["seen"] == {"trained_on": 0, "chosen_by": 0, "alike": 0, "never_seen": 20}
    every = evaluated(run, *data, "--split", "all")["seen"]
    assert (every["trained_on"] + every["chosen_by"], every["never_seen"]) == (20, 20)


def test_a_picture_of_another_size_is_not_said_to_be_new(place):
    for path in (place / "photos").glob("*/*.png"):
        Image.open(path).resize((16, 16)).save(path)
    found = evaluated(place / "run", "--data", place / "photos", "--split", "all")
    assert found["seen"]["alike"] + found["seen"]["trained_on"] >= 56
    assert "of another size" in found["remark"]


def test_a_class_that_the_model_does_not_have_is_named(trained, tmp_path):
    photos(tmp_path, 2, labels=("bird", "cat"))
    code, _, err = cli("eval", trained / "run", "--data", tmp_path)
    assert (code, "bird" in err) == (3, True)


def test_a_split_that_a_folder_has_alone_says_how_to_measure_it(trained, tmp_path):
    folder = photos(tmp_path / "photos", 4)
    (tmp_path / "more").mkdir()
    folder.rename(tmp_path / "more" / "test")
    code, _, err = cli("eval", trained / "run", "--data", tmp_path / "more", "--split", "test")
    assert (code, "Leave --split away: every image is measured then." in err) == (3, True)
    assert cli("eval", trained / "run", "--data", tmp_path / "more")[0] == 0
