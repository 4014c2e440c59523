"""Publishing: the gate cannot be passed by, and what was there before stays."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from cnnreg.errors import GateError, PluginError, UsageError
from cnnreg.exporting.parity import Parity
from cnnreg.exporting.publishing import publish
from cnnreg.manifest import read_manifest, write_manifest
from cnnreg.models import exported_model, find_model
from cnnreg.registry import Catalog, Entry
from cnnreg.runs import Run, now
from cnnreg.specs import Interface
from toy_format import EXPORTER, Answering, flip_one, visible, with_engine, write, wrong


def test_an_equal_export_is_published_with_its_proof(toy, original, tmp_path):
    registry, exporter = toy(engines=2)
    result = publish(registry, original, exporter, "fp32", output=tmp_path)
    assert result.folder == tmp_path / "toy-fp32"
    manifest = read_manifest(result.folder)
    assert set(manifest.parity) == {"engine0", "engine1"}
    assert manifest.parity["engine0"]["agreement"] == 1.0
    assert (manifest.source["run"], manifest.data) == (original.run.name, "digits")
    assert exported_model(result.folder).contract == original.model.contract
    listed = json.loads((result.folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert [file["name"] for file in listed] == ["model-card.md", "model.npz"]
    assert "| Engine 1 |" in (result.folder / "model-card.md").read_text(encoding="utf-8")


def test_the_manifest_names_the_package_that_wrote_it(toy, original, tmp_path):
    registry, exporter = toy()
    plugin = dataclasses.replace(registry.plugins[0], distribution="theirs", version="2.1")
    for entries, told in (([Entry(exporter, plugin)], "theirs 2.1"), ([], "")):
        offering = dataclasses.replace(registry, exporters=Catalog("exporter", entries))
        result = publish(offering, original, exporter, "fp32", output=tmp_path)
        assert read_manifest(result.folder).source["exporter"] == told


def test_a_refused_export_leaves_the_older_one(toy, original, tmp_path):
    registry, exporter = toy()
    first = publish(registry, original, exporter, "fp32", output=tmp_path)
    before = (first.folder / "manifest.json").read_bytes()
    registry, exporter = toy(flip_one)
    with pytest.raises(GateError):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert (first.folder / "manifest.json").read_bytes() == before
    read_manifest(first.folder)


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


def test_a_class_that_is_lost_within_the_budget_is_in_the_manifest(toy, original, tmp_path):
    def lose_threes(logits):
        logits[logits.argmax(1) == 3, 3] = logits.min()
        return logits

    registry, exporter = toy(lose_threes)
    result = publish(registry, original, exporter, "int8", output=tmp_path, max_drop=50.0)
    lost = read_manifest(result.folder).parity["engine0"]["worst_class"]
    assert (lost["name"], lost["after"]) == (original.model.contract.classes[3], 0.0)
    assert lost["images"] == (original.labels == 3).sum()
    assert "lost most" in (result.folder / "model-card.md").read_text(encoding="utf-8")


def test_int8_near_its_budget_is_judged_on_more_images(toy, original, tmp_path, monkeypatch):
    few = dataclasses.replace(
        original,
        images=original.images[:20],
        labels=original.labels[:20],
        others=original.others[:0],
        logits=original.logits[:20],
        kept={},
    )
    registry, exporter = toy()
    monkeypatch.setattr("cnnreg.exporting.original.VERIFICATION_IMAGES", 20)
    for precision, settles, judged in (
        ("int8", True, 20), ("int8", False, len(original.labels)), ("fp32", False, 20),
    ):  # fmt: skip
        monkeypatch.setattr(Parity, "settles", lambda parity, budget, answer=settles: answer)
        result = publish(registry, few, exporter, precision, output=tmp_path)
        assert result.parity["engine0"].judged == judged


@pytest.mark.parametrize("bad", [1, 2, 3, 6, 7])
def test_int8_goes_on_to_the_way_that_holds(toy, original, tmp_path, bad):
    """The first `bad` files answer wrongly. Of an MLP's three layers one may be float."""
    opened, written = [], []

    def refine(request):
        written.append(request.quantisation)
        weights = next(request.model.parameters()).detach().numpy().tobytes()
        assert request.kept.setdefault("weights", weights) == weights, "kept of another network"
        return write(request)

    class Improving(Answering):
        def __init__(self, logits, change):
            opened.append(self)
            super().__init__(logits, wrong if len(opened) <= bad else change)

    exporter = dataclasses.replace(EXPORTER, write=refine, refines=True)
    registry, _ = toy()
    registry = with_engine(
        registry, lambda model, options: Improving(original.logits, lambda logits: logits)
    )
    if bad == 7:  # fast, exact, one float layer, three epochs, the last with a float layer
        with pytest.raises(GateError, match="accuracy drops"):
            publish(registry, original, exporter, "int8", output=tmp_path)
        assert visible(tmp_path) == []
        return
    result = publish(registry, original, exporter, "int8", output=tmp_path)
    quantised = result.quantised
    tuned = "fine-tuning"
    assert quantised.way == {1: "exact-bias", 2: "float-layers", 3: tuned, 6: tuned}[bad]
    assert written[bad].exact_bias == (bad < 3)
    assert written[bad].float_layers == quantised.float_layers
    assert len(quantised.float_layers) == (bad in (2, 6))
    assert quantised.epochs == {3: 1, 6: 3}.get(bad, 0)
    assert quantised.calibration_images == 300
    assert quantised.judging_images == len(original.images) > len(original.labels)
    assert quantised.accuracy == quantised.original_accuracy > 0.5
    assert {path.name for path in result.folder.iterdir()} == {
        "model.npz",
        "manifest.json",
        "model-card.md",
    }
    manifest = read_manifest(result.folder)
    assert manifest.quantised["float_layers"] == list(quantised.float_layers)
    assert visible(tmp_path) == ["toy-int8"]


def worse_in_int8(original):
    def answer(model, options):
        change = wrong if model.precision == "int8" else lambda logits: logits
        return Answering(original.logits, change)

    return answer


def test_where_int8_costs_too_much_fp16_is_kept_and_the_old_int8_stays(toy, original, tmp_path):
    both = dataclasses.replace(EXPORTER, precisions=("fp16", "int8"))
    registry, _ = toy()
    old = publish(registry, original, both, "int8", output=tmp_path)
    before = (old.folder / "manifest.json").read_bytes()

    registry = with_engine(registry, worse_in_int8(original))
    with pytest.raises(GateError) as caught:
        publish(registry, original, both, "int8", output=tmp_path)
    assert f"fp16, published instead ({tmp_path / 'toy-fp16'})" in caught.value.hint
    assert read_manifest(tmp_path / "toy-fp16").precision == "fp16"
    assert (caught.value.instead.folder, caught.value.instead.precision) == (
        tmp_path / "toy-fp16",
        "fp16",
    )
    assert (old.folder / "manifest.json").read_bytes() == before
    with pytest.raises(GateError, match="which is there") as caught:
        publish(registry, original, both, "int8", output=tmp_path)
    assert caught.value.instead is None


def test_where_fp16_fails_too_the_hint_says_so(toy, original, tmp_path):
    both = dataclasses.replace(EXPORTER, precisions=("fp16", "int8"))
    registry, _ = toy(wrong)
    with pytest.raises(GateError, match="fp16 is no way out: Not published: toy fp16"):
        publish(registry, original, both, "int8", output=tmp_path)
    assert visible(tmp_path) == []


def test_an_exporter_that_writes_elsewhere_is_a_broken_plugin(toy, original, tmp_path):
    elsewhere = dataclasses.replace(EXPORTER, write=lambda request: tmp_path / "model")
    registry, exporter = toy(exporter=elsewhere)
    with pytest.raises(PluginError, match="did not write its file"):
        publish(registry, original, exporter, "fp32", output=tmp_path / "out")
    told = dataclasses.replace(EXPORTER, write=lambda request: str(EXPORTER.write(request)))
    registry, exporter = toy(exporter=told)
    with pytest.raises(PluginError, match="returned str, a Path is needed"):
        publish(registry, original, exporter, "fp32", output=tmp_path / "out")


def test_a_precision_that_the_format_lacks_is_refused(toy, original, tmp_path):
    registry, exporter = toy()
    with pytest.raises(UsageError, match="fp32, int8"):
        publish(registry, original, exporter, "fp16", output=tmp_path)


def test_a_folder_that_is_no_export_is_not_replaced(toy, original, tmp_path):
    (tmp_path / "toy-fp32").mkdir()
    (tmp_path / "toy-fp32" / "thesis.txt").write_text("mine")
    registry, exporter = toy()
    with pytest.raises(UsageError, match="somebody has added"):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert (tmp_path / "toy-fp32" / "thesis.txt").read_text() == "mine"


def test_what_somebody_wrote_into_a_card_harms_nothing_and_is_not_replaced(toy, original, tmp_path):
    registry, exporter = toy()
    card = publish(registry, original, exporter, "fp32", output=tmp_path).folder / "model-card.md"
    card.write_text(mine := card.read_text(encoding="utf-8") + "Seen by the board.", "utf-8")
    assert read_manifest(card.parent).format == "toy"
    with pytest.raises(UsageError, match="changed in it"):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert card.read_text(encoding="utf-8") == mine


def test_few_images_leave_fp16_one_and_int8_none(toy, original, tmp_path):
    """Two classes may be level, which rounding decides; int8 may cost more than few show."""

    def flip_first(logits):
        return flip_one(logits) if (logits[0] == original.logits[0]).all() else logits

    few = dataclasses.replace(
        original, labels=original.logits[:40].argmax(1), others=original.labels[40:], kept={}
    )
    every = dataclasses.replace(EXPORTER, precisions=("fp16", "int8"))
    registry, exporter = toy(flip_first, exporter=every)
    publish(registry, few, exporter, "fp16", output=tmp_path)
    for precision, budget in (("fp16", 0.5), ("int8", None)):
        with pytest.raises(GateError, match="accuracy drops"):
            publish(
                registry, few, exporter, precision, output=tmp_path, max_drop=budget,
                max_minutes=0, fp16_instead=False,
            )  # fmt: skip


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
    with pytest.raises(UsageError, match="somebody has added"):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert mine.read_text() == "{}"


@pytest.mark.parametrize(("told", "name", "later", "trained", "own"), [
    (True, "run", True, True, False),  # another one of that name
    (True, "renamed", False, True, True),
    (True, "copied", True, False, True),  # of the same weights
    (False, "run", True, True, True), (False, "renamed", False, True, False),
])  # fmt: skip
def test_an_export_of_another_run_is_not_replaced(
    toy, original, tmp_path, told, name, later, trained, own
):
    """By when it began, where an export tells that, or by its weights, and not by its name."""
    registry, exporter = toy()
    folder = publish(registry, original, exporter, "fp32", output=tmp_path).folder
    if not told:
        manifest = read_manifest(folder)
        (folder / "manifest.json").unlink()
        del manifest.source["run_created"]
        write_manifest(folder, manifest)
    config = original.run.config
    config = dataclasses.replace(config, created=now()) if later else config
    digest = "0" * 64 if trained else original.checkpoint.digest
    checkpoint = dataclasses.replace(original.checkpoint, digest=digest)
    other = dataclasses.replace(original, run=Run(tmp_path / name, config), checkpoint=checkpoint)
    before = (folder / "manifest.json").read_bytes()
    if own:
        publish(registry, other, exporter, "fp32", output=tmp_path)
        assert read_manifest(folder).source["run"] == name
        return
    said = f"is an export of another run, '{original.run.name}'"
    with pytest.raises(UsageError, match=said):
        publish(registry, other, exporter, "fp32", output=tmp_path)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_runs_own_folder_is_its_own_however_it_is_spelt(toy, original, tmp_path):
    registry, exporter = toy()
    run = Run(tmp_path / "run", original.run.config)
    publish(registry, dataclasses.replace(original, run=run), exporter, "fp32")
    other = Run(tmp_path / "run", dataclasses.replace(run.config, created=now()))
    checkpoint = dataclasses.replace(original.checkpoint, digest="0" * 64)
    again = dataclasses.replace(original, run=other, checkpoint=checkpoint)
    spelt = tmp_path / "run" / ".." / "run" / "exports"
    assert publish(registry, again, exporter, "fp32", output=spelt).folder.is_dir()


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
    registry = with_engine(registry, worse_in_int8(original))
    with pytest.raises(GateError):
        publish(registry, original, exporter, "int8", output=tmp_path, fp16_instead=instead)
    assert visible(tmp_path) == left


def test_fp16_keeps_to_the_budget_that_int8_broke(toy, original, tmp_path):
    """It misses two images in 139: more than its own budget allows, 0.5 points or one."""
    right = np.flatnonzero(original.logits[:64].argmax(1) == original.labels[:64])[:2]

    class MissingTwo(Answering):
        def infer(self, inputs):
            logits = super().infer(inputs)
            if self.at == len(inputs) > right.max():
                logits[right] = np.roll(logits[right], 1, axis=1)
            return logits

    def answer(model, options):
        return (Answering if model.precision == "int8" else MissingTwo)(
            original.logits, wrong if model.precision == "int8" else lambda logits: logits
        )

    registry, exporter = toy(exporter=dataclasses.replace(EXPORTER, precisions=("fp16", "int8")))
    registry = with_engine(registry, answer)
    for budget, said in [(None, "fp16 is no way out"), (5, "published instead"), (0, "no way out")]:
        with pytest.raises(GateError) as caught:
            publish(registry, original, exporter, "int8", output=tmp_path, max_drop=budget)
        assert said in caught.value.hint


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
    assert find_model(registry, moved).split == original.split == exported_model(bare.folder).split
