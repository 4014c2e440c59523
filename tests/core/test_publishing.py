"""Publishing: the gate cannot be passed by, and what was there before stays."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from torch.nn import functional

from cnnreg.errors import GateError, PluginError, UsageError
from cnnreg.files import LOCK
from cnnreg.manifest import read_manifest
from cnnreg.models import exported_model, find_model
from cnnreg.original import load_original
from cnnreg.parity import softmax
from cnnreg.publishing import publish
from cnnreg.registry import Catalog, Entry
from cnnreg.specs import ExporterSpec, Interface, RuntimeSpec
from helpers import make_run, train


@pytest.fixture(scope="module")
def original(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=3)
    train(registry, run)
    return load_original(registry, run, run.open_data(registry))


def write(request) -> Path:
    path = request.folder / "model.npz"
    np.savez(path, weight=np.zeros(1))
    return path


EXPORTER = ExporterSpec(
    name="toy", title="Toy", summary="a test", precisions=("fp32", "int8"), write=write
)


class Answering:
    """A session that gives the original's answers, with changes."""

    def __init__(self, logits, change):
        self.logits, self.change, self.at = logits, change, 0

    def prepare(self, images):
        return images

    def infer(self, inputs):
        part = self.logits[self.at : self.at + len(inputs)]
        self.at += len(inputs)
        return self.change(part.copy())

    def describe(self):
        return {}


@pytest.fixture
def toy(registry, original):
    """The registry with one format, run by an engine that changes the logits as told."""

    def make(change=lambda logits: logits, engines=1, exporter=EXPORTER):
        plugin = registry.plugins[0]
        runtimes = [
            RuntimeSpec(
                name=f"engine{number}",
                title=f"Engine {number}",
                formats=("toy",),
                open=lambda model, options, number=number: Answering(
                    original.logits, change if number == engines - 1 else lambda same: same
                ),
                devices=dict,
            )
            for number in range(engines)
        ]
        changed = dataclasses.replace(
            registry, runtimes=Catalog("runtime", [Entry(spec, plugin) for spec in runtimes])
        )
        return changed, exporter

    return make


def visible(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != LOCK]


def flip_one(logits):
    logits[0] = logits[0][::-1]
    return logits


def test_an_equal_export_is_published_with_its_proof(toy, original, tmp_path):
    registry, exporter = toy(engines=2)
    result = publish(registry, original, exporter, "fp32", output=tmp_path)
    assert result.folder == tmp_path / "toy-fp32"
    manifest = read_manifest(result.folder)
    assert set(manifest.parity) == {"engine0", "engine1"}
    assert manifest.parity["engine0"]["agreement"] == 1.0
    assert manifest.source["run"] == original.run.name
    assert exported_model(result.folder).contract == original.model.contract
    listed = json.loads((result.folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert [file["name"] for file in listed] == ["model-card.md", "model.npz"]
    assert "| Engine 1 |" in (result.folder / "model-card.md").read_text(encoding="utf-8")


def test_it_is_proven_on_the_device_it_is_for_where_an_engine_has_it(toy, original, tmp_path):
    registry, exporter = toy(engines=2)
    asked = []

    def noting(runtime):
        def open_session(model, options):
            asked.append(options.device)
            return runtime.open(model, options)

        return open_session

    plain, rich = registry.runtimes.specs
    specs = [
        dataclasses.replace(plain, open=noting(plain)),
        dataclasses.replace(rich, open=noting(rich), devices=lambda: {"CPU": "c", "GPU": "g"}),
    ]
    entries = [Entry(spec, registry.plugins[0]) for spec in specs]
    registry = dataclasses.replace(registry, runtimes=Catalog("runtime", entries))
    result = publish(registry, original, exporter, "fp32", output=tmp_path, device="GPU")
    assert asked == ["CPU", "GPU"]
    parity = read_manifest(result.folder).parity
    assert [parity[name]["device"] for name in ("engine0", "engine1")] == ["CPU", "GPU"]


@pytest.mark.parametrize("engines", [1, 2])
def test_one_engine_that_disagrees_is_enough_to_refuse(toy, original, tmp_path, engines):
    registry, exporter = toy(flip_one, engines)
    with pytest.raises(GateError, match="Not published: toy fp32 in Engine") as caught:
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert caught.value.exit_code == 8
    assert visible(tmp_path) == []


def test_a_refused_export_leaves_the_older_one(toy, original, tmp_path):
    registry, exporter = toy()
    first = publish(registry, original, exporter, "fp32", output=tmp_path)
    before = (first.folder / "manifest.json").read_bytes()
    registry, exporter = toy(flip_one)
    with pytest.raises(GateError):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert (first.folder / "manifest.json").read_bytes() == before
    read_manifest(first.folder)


def wrong(logits):
    return np.roll(logits, 1, axis=1)


def test_int8_is_published_within_its_budget_only(toy, original, tmp_path):
    registry, exporter = toy(wrong)
    with pytest.raises(GateError, match=r"accuracy drops from .* \(limit 1 points\)") as caught:
        publish(registry, original, exporter, "int8", output=tmp_path)
    assert caught.value.exit_code == 8
    assert "Keep a higher precision" in caught.value.hint
    assert visible(tmp_path) == []
    registry, exporter = toy(lambda logits: logits + 0.5)
    result = publish(registry, original, exporter, "int8", output=tmp_path)
    assert result.quantised.way == read_manifest(result.folder).quantised["way"] == "fast"


@pytest.mark.parametrize("bad", [1, 2, 3, 6])
def test_int8_goes_on_to_the_way_that_holds(toy, original, tmp_path, bad):
    """The first `bad` files answer wrongly. Of an MLP's three layers one may be float."""
    opened, written = [], []

    def refine(request):
        written.append(request.quantisation)
        return write(request)

    class Improving(Answering):
        def __init__(self, logits, change):
            opened.append(self)
            super().__init__(logits, wrong if len(opened) <= bad else change)

    exporter = dataclasses.replace(EXPORTER, write=refine, refines=True)
    registry, _ = toy()
    runtime = registry.runtimes["engine0"]
    same = dataclasses.replace(
        runtime, open=lambda model, options: Improving(original.logits, lambda logits: logits)
    )
    catalog = Catalog("runtime", [Entry(same, registry.plugins[0])])
    registry = dataclasses.replace(registry, runtimes=catalog)
    if bad == 6:  # fast, exact, one float layer, three epochs
        with pytest.raises(GateError, match="accuracy drops"):
            publish(registry, original, exporter, "int8", output=tmp_path)
        assert visible(tmp_path) == []
        return
    result = publish(registry, original, exporter, "int8", output=tmp_path)
    quantised = result.quantised
    assert quantised.way == ("exact-bias", "float-layers", "fine-tuning")[bad - 1]
    assert written[bad].exact_bias == (bad < 3)
    assert written[bad].float_layers == quantised.float_layers
    assert len(quantised.float_layers) == (bad == 2)
    assert quantised.epochs == (bad == 3)
    assert quantised.calibration_images == 300
    assert quantised.judging_images == len(original.labels)
    assert quantised.accuracy == quantised.original_accuracy > 0.5
    assert {path.name for path in result.folder.iterdir()} == {
        "model.npz",
        "manifest.json",
        "model-card.md",
    }
    manifest = read_manifest(result.folder)
    assert manifest.quantised["float_layers"] == list(quantised.float_layers)
    assert visible(tmp_path) == ["toy-int8"]


def test_where_int8_costs_too_much_fp16_is_kept_and_the_old_int8_stays(toy, original, tmp_path):
    both = dataclasses.replace(EXPORTER, precisions=("fp16", "int8"))
    registry, _ = toy()
    old = publish(registry, original, both, "int8", output=tmp_path)
    before = (old.folder / "manifest.json").read_bytes()

    def answer(model, options):
        change = wrong if model.precision == "int8" else lambda logits: logits
        return Answering(original.logits, change)

    runtime = dataclasses.replace(registry.runtimes["engine0"], open=answer)
    catalog = Catalog("runtime", [Entry(runtime, registry.plugins[0])])
    registry = dataclasses.replace(registry, runtimes=catalog)
    with pytest.raises(GateError) as caught:
        publish(registry, original, both, "int8", output=tmp_path)
    assert f"fp16, published instead ({tmp_path / 'toy-fp16'})" in caught.value.hint
    assert read_manifest(tmp_path / "toy-fp16").precision == "fp16"
    assert (old.folder / "manifest.json").read_bytes() == before
    with pytest.raises(GateError, match="which is there"):
        publish(registry, original, both, "int8", output=tmp_path)


def test_where_fp16_fails_too_the_hint_says_so(toy, original, tmp_path):
    both = dataclasses.replace(EXPORTER, precisions=("fp16", "int8"))
    registry, _ = toy(wrong)
    with pytest.raises(GateError, match="fp16 is no way out: Not published: toy fp16"):
        publish(registry, original, both, "int8", output=tmp_path)
    assert visible(tmp_path) == []


def test_a_format_that_nothing_opens_is_not_published(registry, original, tmp_path):
    with pytest.raises(GateError, match="nothing can be proven"):
        publish(registry, original, EXPORTER, "fp32", output=tmp_path)


def test_an_engine_that_fails_refuses(toy, original, tmp_path):
    def fail(logits):
        raise RuntimeError("unsupported layer")

    registry, exporter = toy(fail)
    with pytest.raises(GateError, match="unsupported layer"):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert visible(tmp_path) == []


def test_an_exporter_that_writes_elsewhere_is_a_broken_plugin(toy, original, tmp_path):
    elsewhere = dataclasses.replace(EXPORTER, write=lambda request: tmp_path / "model")
    registry, exporter = toy(exporter=elsewhere)
    with pytest.raises(PluginError, match="did not write its file"):
        publish(registry, original, exporter, "fp32", output=tmp_path / "out")


def test_a_precision_that_the_format_lacks_is_refused(toy, original, tmp_path):
    registry, exporter = toy()
    with pytest.raises(UsageError, match="fp32, int8"):
        publish(registry, original, exporter, "fp16", output=tmp_path)


def test_a_folder_that_is_no_export_is_not_replaced(toy, original, tmp_path):
    (tmp_path / "toy-fp32").mkdir()
    (tmp_path / "toy-fp32" / "thesis.txt").write_text("mine")
    registry, exporter = toy()
    with pytest.raises(UsageError, match="no part of an export"):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert (tmp_path / "toy-fp32" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["manifest.json", "engine.plan"])
def test_what_somebody_put_beside_an_export_is_not_replaced(toy, original, tmp_path, name):
    """A manifest of another program, or a file of one's own in a real export."""
    registry, exporter = toy()
    mine = tmp_path / "toy-fp32" / name
    if name == "manifest.json":
        mine.parent.mkdir()
    else:
        publish(registry, original, exporter, "fp32", output=tmp_path)
    mine.write_text("{}")
    with pytest.raises(UsageError, match="no part of an export"):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert mine.read_text() == "{}"


@pytest.mark.parametrize("odd", [".weights", "parts"])
def test_a_file_that_could_not_be_checked_is_not_published(toy, original, tmp_path, odd):
    def oddly(request):
        (request.folder / odd).mkdir()
        return write(request)

    registry, exporter = toy(exporter=dataclasses.replace(EXPORTER, write=oddly))
    with pytest.raises(PluginError, match="no plain, visible file"):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert visible(tmp_path) == []


@pytest.mark.parametrize(("instead", "left"), [(True, ["toy-fp16"]), (False, [])])
def test_fp16_is_published_instead_where_that_is_wanted(toy, original, tmp_path, instead, left):
    registry, exporter = toy(exporter=dataclasses.replace(EXPORTER, precisions=("fp16", "int8")))
    runtime = dataclasses.replace(
        registry.runtimes["engine0"],
        open=lambda model, options: Answering(
            original.logits, wrong if model.precision == "int8" else lambda same: same
        ),
    )
    catalog = Catalog("runtime", [Entry(runtime, registry.plugins[0])])
    registry = dataclasses.replace(registry, runtimes=catalog)
    with pytest.raises(GateError):
        publish(registry, original, exporter, "int8", output=tmp_path, fp16_instead=instead)
    assert visible(tmp_path) == left


def test_fp16_keeps_to_the_budget_that_int8_broke(toy, original, tmp_path):
    right = int(np.flatnonzero(original.logits[:64].argmax(1) == original.labels[:64])[0])
    batches = []

    def miss_one(logits):  # of 256 images, fewer than fp16 may answer otherwise
        if len(batches) % 4 == 0:
            logits[right] = np.roll(logits[right], 1)
        batches.append(logits)
        return logits

    registry, exporter = toy(
        miss_one, exporter=dataclasses.replace(EXPORTER, precisions=("fp16", "int8"))
    )
    publish(registry, original, exporter, "fp16", output=tmp_path, max_drop=100)
    with pytest.raises(GateError) as caught:
        publish(registry, original, exporter, "int8", output=tmp_path, max_drop=0)
    assert "fp16 is no way out" in caught.value.hint


def test_the_images_are_those_of_the_validation_and_training_splits(registry, original):
    data = original.run.open_data(registry)
    val = {image.tobytes() for image in data.val.pixels}
    training = {image.tobytes() for image in data.train.pixels}
    judged, more = np.split(original.images, [len(original.labels)])
    assert {image.tobytes() for image in judged} == val
    assert {image.tobytes() for image in more} <= training
    assert len(original.images) == 256
    assert {image.tobytes() for image in original.calibration} <= training
    assert len(original.calibration) == 300


def test_the_file_says_how_to_use_it(original):
    from cnnreg.description import describe

    texts = describe(original.model.contract, "fp16")
    assert json.loads(texts["labels"]) == list(original.model.contract.classes)
    assert texts["precision"] == "fp16"
    assert "[N, 1, 28, 28] grey" in texts["input"]


def test_a_self_contained_export_stands_beside_the_bare_one(registry, original, tmp_path):
    exporter = registry.exporters["onnx"]
    bare = publish(registry, original, exporter, "fp32", output=tmp_path)
    whole = publish(
        registry, original, exporter, "fp32", output=tmp_path, interface=Interface(embed=True)
    )
    assert (bare.folder.name, whole.folder.name) == ("onnx-fp32", "onnx-fp32-embed")
    assert exported_model(whole.folder).interface == Interface(embed=True)
    assert exported_model(bare.folder).interface == Interface()
    moved = tmp_path / "elsewhere.onnx"
    moved.write_bytes(whole.model.read_bytes())
    assert find_model(registry, moved).interface == Interface(embed=True)


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_one_whose_probabilities_are_no_softmax_is_refused(
    registry, original, tmp_path, monkeypatch, format_name
):
    from cnnreg import proof

    monkeypatch.setattr(proof, "softmax", lambda logits: np.roll(softmax(logits), 1, axis=1))
    with pytest.raises(GateError, match="not the softmax of its logits"):
        publish(
            registry,
            original,
            registry.exporters[format_name],
            "fp32",
            output=tmp_path,
            interface=Interface(embed=True),
        )
    assert visible(tmp_path) == []


def test_memory_that_runs_out_in_an_engine_is_not_the_files_fault(toy, original, tmp_path):
    def exhausted(logits):
        raise RuntimeError("bad allocation")

    registry, exporter = toy(exhausted)
    with pytest.raises(RuntimeError, match="bad allocation"):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert visible(tmp_path) == []


def test_one_that_resizes_otherwise_is_refused(registry, original, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "cnnreg_export.formats.preprocess.Preprocess._fit",
        lambda self, pixels: functional.interpolate(pixels, (self.height, self.width)),
    )
    with pytest.raises(GateError, match="resizes pictures otherwise"):
        publish(
            registry,
            original,
            registry.exporters["onnx"],
            "fp32",
            output=tmp_path,
            interface=Interface(embed=True),
        )
    assert visible(tmp_path) == []
