"""Proof: an export is compared in every engine, and in each it must hold."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from torch.nn import functional

from cnnreg.answers import softmax
from cnnreg.errors import GateError, MachineError
from cnnreg.exporting.proof import RESIZES, _resizes_alike
from cnnreg.exporting.publishing import publish
from cnnreg.manifest import read_manifest
from cnnreg.registry import Catalog, Entry
from cnnreg.specs import Interface
from toy_format import EXPORTER, Answering, flip_one, visible, with_engine

GRAPHICS = {
    "devices": lambda: {"CPU": "some processor", "GPU": "Iris Xe"},
    "details": lambda: {"GPU": {"driver": "32.0"}},
    "requires": ("numpy",),
}


def with_runtimes(registry, *specs):
    entries = [Entry(spec, registry.plugins[0]) for spec in specs]
    return dataclasses.replace(registry, runtimes=Catalog("runtime", entries))


def test_it_is_proven_on_the_device_it_is_for_where_an_engine_has_it(toy, original, tmp_path):
    registry, exporter = toy(engines=2)
    asked = []

    def noting(runtime):
        def open_session(model, options):
            asked.append(options.device)
            return runtime.open(model, options)

        return open_session

    plain, rich = registry.runtimes.specs
    registry = with_runtimes(
        registry,
        dataclasses.replace(plain, open=noting(plain)),
        dataclasses.replace(rich, open=noting(rich), **GRAPHICS),
    )
    result = publish(registry, original, exporter, "fp32", output=tmp_path, device="GPU")
    assert asked == ["CPU", "GPU"]
    parity = read_manifest(result.folder).parity
    assert [parity[name]["device"] for name in ("engine0", "engine1")] == ["CPU", "GPU"]
    told = {name: parity["engine1"][name] for name in ("device_name", "driver", "engine")}
    assert told == {"device_name": "Iris Xe", "driver": "32.0", "engine": f"numpy {np.__version__}"}


def test_each_engine_has_its_own_name_for_the_device(toy, original, tmp_path):
    registry, exporter = toy(engines=2)
    plain, rich = registry.runtimes.specs
    numbered = {**GRAPHICS, "devices": lambda: {"CPU": "some processor", "GPU.0": "Iris Xe"}}
    registry = with_runtimes(
        registry, dataclasses.replace(plain, **numbered), dataclasses.replace(rich, **GRAPHICS)
    )
    result = publish(registry, original, exporter, "fp32", output=tmp_path, device="GPU")
    assert [parity.device for parity in result.parity.values()] == ["GPU.0", "GPU"]


def test_a_device_that_is_gone_is_not_replaced_by_the_processor(toy, original, tmp_path):
    registry, exporter = toy(engines=2)
    with pytest.raises(MachineError, match="GPU is not seen any more") as caught:
        publish(registry, original, exporter, "fp32", output=tmp_path, device="GPU")
    assert caught.value.exit_code == 5
    assert visible(tmp_path) == []


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_device_that_fails_meanwhile_is_not_the_files_fault(toy, original, tmp_path, precision):
    def lost(logits):
        raise MachineError("GPU failed: out of resources.")

    registry, exporter = toy(lost)
    runtime = dataclasses.replace(registry.runtimes["engine0"], **GRAPHICS)
    registry = with_runtimes(registry, runtime)
    with pytest.raises(MachineError, match="out of resources"):
        publish(registry, original, exporter, precision, output=tmp_path, device="GPU")
    assert visible(tmp_path) == []


@pytest.mark.parametrize(("device", "kind"), [("GPU", MachineError), ("CPU", GateError)])
def test_a_file_that_a_processor_cannot_open_is_at_fault(toy, original, tmp_path, device, kind):
    def fail(model, options):
        raise MachineError("cannot compile this model.")

    registry, exporter = toy()
    runtime = dataclasses.replace(registry.runtimes["engine0"], open=fail, **GRAPHICS)
    registry = with_runtimes(registry, runtime)
    with pytest.raises(kind, match="cannot compile"):
        publish(registry, original, exporter, "fp32", output=tmp_path, device=device)


@pytest.mark.parametrize("engines", [1, 2])
def test_one_engine_that_disagrees_is_enough_to_refuse(toy, original, tmp_path, engines):
    registry, exporter = toy(flip_one, engines)
    with pytest.raises(GateError, match="Not published: toy fp32 in Engine") as caught:
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert caught.value.exit_code == 8
    assert visible(tmp_path) == []


def test_a_format_that_nothing_opens_is_not_published(registry, original, tmp_path):
    with pytest.raises(GateError, match="nothing can be proven"):
        publish(registry, original, EXPORTER, "fp32", output=tmp_path)


def test_an_engine_that_fails_refuses(toy, original, tmp_path):
    def fail(logits):
        raise RuntimeError("unsupported layer")

    registry, exporter = toy(fail)
    with pytest.raises(GateError, match="unsupported layer") as caught:
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert visible(tmp_path) == []
    plugin = registry.plugins[0].name
    assert f"If the engine is at fault: cnnreg plugins disable {plugin}" in caught.value.hint
    exporters = Catalog("exporter", [Entry(exporter, registry.plugins[0])])
    of_one_package = dataclasses.replace(registry, exporters=exporters)
    with pytest.raises(GateError) as caught:
        publish(of_one_package, original, exporter, "fp32", output=tmp_path)
    assert caught.value.hint == ""


def test_one_that_answers_otherwise_to_one_image_is_refused(toy, original, tmp_path):
    """Most are shown one picture at a time."""

    def when_alone(logits):
        return logits + 1 if len(logits) == 1 else logits

    registry, exporter = toy(change=when_alone)
    with pytest.raises(GateError, match="otherwise to one image than to several"):
        publish(registry, original, exporter, "fp32", output=tmp_path)


def test_an_engine_whose_input_is_an_object_of_its_own_gets_that_alone(
    toy, original, tmp_path, monkeypatch
):
    """Pictures of other sizes too."""

    class Particular(Answering):
        def prepare(self, images):
            return SimpleNamespace(images=images)

        def infer(self, inputs):
            height, width = inputs.images.shape[1:3]
            shown.add((height, width))
            return super().infer(inputs.images)

    shown = set()
    registry, exporter = toy()
    registry = with_engine(registry, lambda *_: Particular(original.logits, lambda logits: logits))
    publish(registry, original, exporter, "fp32", output=tmp_path, interface=Interface(embed=True))
    assert len(shown) > 1


def test_memory_that_runs_out_in_an_engine_is_not_the_files_fault(toy, original, tmp_path):
    def exhausted(logits):
        raise RuntimeError("bad allocation")

    registry, exporter = toy(exhausted)
    with pytest.raises(RuntimeError, match="bad allocation"):
        publish(registry, original, exporter, "fp32", output=tmp_path)
    assert visible(tmp_path) == []


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_one_whose_probabilities_are_no_softmax_is_refused(
    registry, original, tmp_path, monkeypatch, format_name
):
    from cnnreg.exporting import proof

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


def test_a_fault_of_one_int8_file_leaves_the_other_ways(toy, original, tmp_path, monkeypatch):
    faults = iter([RESIZES, ""])
    monkeypatch.setattr("cnnreg.exporting.proof._fault", lambda *_: next(faults))
    registry, exporter = toy(exporter=dataclasses.replace(EXPORTER, refines=True))
    result = publish(registry, original, exporter, "int8", output=tmp_path)
    assert result.quantised.way == "exact-bias"


def test_no_number_is_no_answer_to_a_picture_of_another_size(original):
    class Session:
        """Gives numbers for pictures of the network's own size alone."""

        def prepare(self, pixels):
            return pixels

        def infer(self, pixels):
            own = pixels.shape[1:3] == original.images.shape[1:3]
            return np.full((len(pixels), len(original.logits[0])), 0.0 if own else np.nan)

    assert not _resizes_alike(Session(), original)


@pytest.mark.parametrize("outlier", [1, 1000])
def test_one_that_resizes_otherwise_is_refused(registry, original, tmp_path, monkeypatch, outlier):
    """However large the logits of one picture are."""
    logits = original.logits.copy()
    logits[-1] *= outlier
    monkeypatch.setattr(
        "cnnreg_export.formats.preprocess.Preprocess._fit",
        lambda self, pixels: functional.interpolate(pixels, (self.height, self.width)),
    )
    with pytest.raises(GateError, match="resizes pictures otherwise") as caught:
        publish(
            registry,
            dataclasses.replace(original, logits=logits),
            registry.exporters["onnx"],
            "fp16",
            output=tmp_path,
            interface=Interface(embed=True),
        )
    assert "without --embed" in caught.value.hint
    assert visible(tmp_path) == []
