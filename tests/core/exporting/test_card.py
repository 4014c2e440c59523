"""The model card: complete, true to its sources, and safe whatever classes are called."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cnnreg.data import DataConfig
from cnnreg.exporting.card import Subject, model_card
from cnnreg.exporting.original import load_original
from cnnreg.exporting.parity import ClassLoss, Parity
from cnnreg.run_data import data_of_run
from cnnreg.runs import Run
from cnnreg.specs import Interface, ModelFile
from helpers import make_run, train

EMBED = Interface(embed=True)
PARITY = Parity(
    images=256,
    judged=139,
    largest_difference=3e-6,
    mean_difference=1e-6,
    tolerance=1e-2,
    agreement=1.0,
    original_accuracy=0.9,
    exported_accuracy=0.875,
    complaint="",
)


@pytest.fixture(scope="module")
def original(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=1)
    train(registry, run)
    return load_original(registry, run, data_of_run(registry, run))


@pytest.fixture
def card(registry, original, tmp_path):
    """The card of an export in ONNX; what `tmp_path` holds is what the run has."""

    def make(interface=EMBED, classes=None, folder=None, config=original.run.config):
        contract = original.model.contract
        contract = replace(contract, classes=classes or contract.classes)
        model = replace(original.model, contract=contract)
        source = replace(original, model=model, run=Run(folder or tmp_path, config))
        exported = ModelFile(
            path=tmp_path / "model.onnx",
            format="onnx",
            precision="fp32",
            contract=contract,
            interface=interface,
        )
        lost = replace(PARITY, worst_class=ClassLoss("[4]", images=3, before=1.0, after=0.0))
        parity = {"onnxruntime": PARITY, "openvino": lost}
        exporter = registry.exporters["onnx"]
        return model_card(Subject(registry, source, exporter, exported, parity))

    return make


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_it_tells_what_the_run_was_and_came_to(card, original):
    text = card(folder=original.run.folder)
    found = sections(text)
    assert all(part.strip() for part in found.values())
    assert text.startswith("# mlp on digits\n")
    assert "266,610" in found["The network"]
    assert "266,200" in found["The network"]
    assert "CC-BY-4.0" in found["Data"]
    assert "learning rate 0.003 (one-cycle)" in found["Training"]
    test = json.loads(original.run.report.read_text(encoding="utf-8"))
    assert f"{100 * test['accuracy']:.2f} % of 360 test images" in found["Accuracy"]
    assert len(re.findall(r"^\| \d \|", found["Accuracy"], re.MULTILINE)) == 10
    assert (
        "| ONNX Runtime | CPU | 256 | 100.00 % | 90.00 % → 87.50 % on 139 of them | 3.0e-06 |"
        in found["Proof"]
    )
    assert "| OpenVINO |" in found["Proof"]
    assert found["Proof"].endswith(
        "\n\n- OpenVINO: of the classes, \\[4\\] lost most: 100.00 % → 0.00 % of its 3 images\n\n"
    )
    assert "cnnreg bench" in found["Speed"]
    assert " taken for " in found["Limits"]
    assert "onnxruntime.InferenceSession('model.onnx')" in found["Use"]
    assert original.checkpoint.digest in found["Versions"]
    assert str(original.run.folder.parent) not in text


def test_a_folder_is_called_by_its_name(card, original):
    data = DataConfig(name="folder", folder=Path("pets/cats & dogs"))
    config = replace(original.run.config, data=data)
    text = card(config=config)
    assert text.startswith("# mlp on cats\\_dogs\n")
    assert "images of cats\\_dogs." in sections(text)["Limits"]


def test_of_weights_trained_elsewhere_it_is_not_known_what_they_were_trained_on(card, original):
    imported = {"file": "w.pt", "sha256": "0" * 64}
    found = sections(card(Interface(), config=replace(original.run.config, imported=imported)))
    for name in ("Accuracy", "Limits"):
        assert "which of these it was trained on is not known" in found[name]
    assert "To measure it, pictures of another shape were" in found["Input and output"]
    own = sections(card(Interface()))
    assert "not known" not in own["Accuracy"] + own["Limits"]
    assert "For training, pictures" in own["Input and output"]


def test_without_a_test_report_it_is_the_images_compared(card):
    assert "139 validation images" in sections(card())["Accuracy"]


def test_a_bare_file_says_how_pictures_are_prepared(card):
    found = sections(card(Interface()))
    assert "(pixel/255 - mean)/std" in found["Input and output"]
    assert "deviation" in found["Input and output"]
    assert "import" not in found["Use"]


def test_class_names_stay_in_their_cells(card):
    evil = ("a|b", "<img src=x>", "[x](http://x)", "*", "`", "# h", "new\nline", "&lt;", "\\", "犬")
    accuracy = sections(card(classes=evil))["Accuracy"]
    rows = [line for line in accuracy.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
    assert len(rows) == 12
    assert r"\<img src=x\>" in accuracy
    assert "<img" not in card(classes=evil).replace(r"\<img", "")


@pytest.mark.parametrize(
    ("interface", "anywhere"),
    [(Interface(), False), (EMBED, True), (Interface(embed=True, fixed=True), False)],
)
def test_only_what_takes_pictures_of_any_size_is_said_to(card, interface, anywhere):
    text = card(interface)
    assert ("Without cnnreg:" in text) is anywhere
    assert ("- Pictures of another shape are stretched" in text) is anywhere
