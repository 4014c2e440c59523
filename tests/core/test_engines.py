"""Which engine opens a model, and whether it can here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnnreg import engines
from cnnreg.engines import choose_runtime, missing, need, open_session
from cnnreg.errors import MissingExtraError, PluginError, UsageError
from cnnreg.files import typed
from cnnreg.registry import Catalog, Entry
from cnnreg.specs import ModelFile, RuntimeOptions
from helpers import contract, make_run


def model(format_name: str) -> ModelFile:
    return ModelFile(path=Path("x"), format=format_name, precision="fp32", contract=contract())


@pytest.mark.parametrize(
    ("format_name", "engine"),
    [("onnx", "onnxruntime"), ("openvino", "openvino"), ("checkpoint", "pytorch")],
)
def test_a_format_is_opened_by_its_own_engine(registry, format_name, engine):
    assert choose_runtime(registry, model(format_name)).name == engine


def test_an_engine_that_does_not_fit_names_those_that_do(registry):
    with pytest.raises(UsageError, match="onnxruntime, openvino"):
        choose_runtime(registry, model("onnx"), "pytorch")
    with pytest.raises(PluginError, match="tflite"):
        choose_runtime(registry, model("tflite"))


def test_an_engine_for_exports_names_the_line_that_makes_one(registry, tmp_path):
    run = make_run(registry, tmp_path / "a run")
    checkpoint = replace(model("checkpoint"), path=run.best)
    with pytest.raises(UsageError) as caught:
        choose_runtime(registry, checkpoint, "openvino")
    line = f"cnnreg export {typed(run.folder)} --openvino"
    assert caught.value.hint == f"Try pytorch, or export it first: {line}"
    with pytest.raises(UsageError) as caught:  # of no run
        choose_runtime(registry, model("checkpoint"), "openvino")
    assert caught.value.hint == "Try pytorch."


def test_a_missing_package_names_the_line_that_mends_it(registry, monkeypatch):
    monkeypatch.setattr(engines, "missing", lambda modules: modules[0] if modules else None)
    with pytest.raises(MissingExtraError, match="pip install onnxruntime$"):
        choose_runtime(registry, model("onnx"))
    with pytest.raises(MissingExtraError, match=r'pip install "cnn-registry\[train\]"$'):
        choose_runtime(registry, model("checkpoint"))


def test_an_engine_of_another_package_goes_behind_the_formats_own(registry):
    other = replace(registry.plugins[0], name="other", distribution="a-package")
    spec = replace(registry.runtimes["onnxruntime"], name="a-first", requires=())
    foreign = replace(spec, formats=("onnx", "checkpoint"))
    entries = [*registry.runtimes.entries, Entry(foreign, other)]
    more = replace(registry, runtimes=Catalog("runtime", entries))
    assert choose_runtime(more, model("onnx")).name == "onnxruntime"
    assert choose_runtime(more, model("checkpoint")).name == "pytorch"
    assert choose_runtime(more, model("onnx"), "a-first") is foreign
    alone = replace(registry, runtimes=Catalog("runtime", [Entry(foreign, other)]))
    assert choose_runtime(alone, model("onnx")) is foreign


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.part", "json.decoder.part"])
def test_a_package_of_a_plugins_own_is_asked_for_by_its_name(registry, module):
    assert missing(("json.decoder", module)) == module
    spec = replace(registry.runtimes["onnxruntime"], requires=(module,), extra="")
    with pytest.raises(MissingExtraError, match=rf"pip install {module.split('.')[0]}$"):
        need(spec)


@pytest.mark.parametrize("opened", [None, object(), SimpleNamespace(prepare=print, infer=print)])
def test_what_an_engine_opens_is_a_session(registry, opened):
    broken = replace(registry.runtimes["onnxruntime"], open=lambda model, options: opened)
    with pytest.raises(PluginError, match="in ONNX Runtime failed: TypeError") as caught:
        open_session(broken, replace(model("onnx"), path=Path("x")), RuntimeOptions())
    assert "--runtime" in caught.value.hint


def test_one_package_may_be_named_without_a_tuple():
    with pytest.raises(MissingExtraError, match="'not_there_at_all'"):
        need(SimpleNamespace(requires="not_there_at_all"))
    need(SimpleNamespace(requires="json"))
