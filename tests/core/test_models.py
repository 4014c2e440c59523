"""What MODEL may be on the command line, and which engine opens it."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnnreg import models
from cnnreg.errors import MissingExtraError, ModelFileError, PluginError, UsageError
from cnnreg.files import typed
from cnnreg.models import choose_runtime, digest_of, find_model, missing, need, open_session
from cnnreg.registry import Catalog, Entry
from cnnreg.specs import Interface, ModelFile, RuntimeOptions, to_data
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
    monkeypatch.setattr(models, "missing", lambda modules: modules[0] if modules else None)
    with pytest.raises(MissingExtraError, match=r'pip install "cnn-registry'):
        choose_runtime(registry, model("onnx"))


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


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("model.pt", b"PK\x03\x04", ModelFileError, "Not a model file"),
        ("model.onnx", b"not onnx", ModelFileError, "model.onnx"),
        ("model.xml", b"<net/>", ModelFileError, "model"),
        ("model.safetensors", b"", ModelFileError, "empty"),
    ],
)
def test_foreign_files_are_refused(registry, tmp_path, name, content, error, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=said):
        find_model(registry, tmp_path / name)


def test_a_run_without_an_epoch_says_how_to_go_on(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    with pytest.raises(ModelFileError, match="cnnreg resume"):
        find_model(registry, run.folder)


def test_a_folder_of_something_else(registry, tmp_path):
    with pytest.raises(UsageError, match="neither a run nor an export"):
        find_model(registry, tmp_path)
    with pytest.raises(UsageError, match="no such model"):
        find_model(registry, tmp_path / "none")


def test_a_folder_of_exports_names_them(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    for name in ("onnx-fp32", "openvino-fp32", ".cnnreg-tmp-old-onnx-fp32"):
        (run.exports / name).mkdir(parents=True)
        (run.exports / name / "manifest.json").write_text('{"schema": 1}')
    with pytest.raises(UsageError) as caught:
        find_model(registry, run.exports)
    both = ", ".join(typed(run.exports / name) for name in ("onnx-fp32", "openvino-fp32"))
    assert caught.value.hint == f"Name an export in it: {both}"
    (run.folder / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        find_model(registry, run.folder / "empty")
    assert caught.value.hint == f"Name the run: {typed(run.folder)}"


def test_the_weights_of_an_openvino_model_name_the_model(registry, tmp_path):
    for name in ("model.bin", "model.xml"):
        (tmp_path / name).touch()
    with pytest.raises(ModelFileError) as caught:
        find_model(registry, tmp_path / "model.bin")
    assert caught.value.hint == f"Name {typed(tmp_path / 'model.xml')}"


def test_a_bare_file_must_carry_a_contract(registry, tmp_path, monkeypatch):
    path = tmp_path / "moved.onnx"
    path.write_bytes(b"x")
    embed = Interface(embed=True)
    texts = {
        "contract": json.dumps(to_data(contract())),
        "precision": "fp16",
        "interface": json.dumps(to_data(embed)),
    }
    runtime = SimpleNamespace(title="Engine", metadata=lambda path: texts)
    monkeypatch.setattr(models, "runtimes_for", lambda registry, name: [runtime])
    found = find_model(registry, path)
    assert (found.contract, found.precision, found.interface) == (contract(), "fp16", embed)
    assert found.split is None  # of an older version
    texts["split"] = '{"split_seed": 5}'
    assert (found := find_model(registry, path)).split == {"split_seed": 5}
    # In a web page's folder, whose manifest is another thing.
    (tmp_path / "manifest.json").write_text('{"name": "page", "icons": []}')
    assert find_model(registry, path) == found
    with pytest.raises(UsageError, match="neither a run nor an export"):
        find_model(registry, tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema": 1}')
    with pytest.raises(ModelFileError, match="Damaged manifest"):
        find_model(registry, path)
    (tmp_path / "manifest.json").unlink()
    whole = dict(texts)
    for damage in (
        {"contract": "{}"},
        {"contract": "["},
        {"interface": '{"embed": 1}'},
        {"split": "{"},
        None,
    ):
        texts.clear()
        texts.update({**whole, **damage} if damage else {})
        with pytest.raises(ModelFileError, match="does not say how to use it"):
            find_model(registry, path)
    runtime.metadata = lambda path: 1 // 0
    with pytest.raises(PluginError, match="Engine failed: ZeroDivisionError"):
        find_model(registry, path)


def test_the_digest_is_of_the_file_and_of_an_irs_weights_too(tmp_path):
    model, weights = tmp_path / "model.xml", tmp_path / "model.bin"
    model.write_bytes(b"layers")
    assert digest_of(model) == sha256(b"layers").hexdigest()
    weights.write_bytes(b"numbers")
    assert digest_of(model) == sha256(b"layersnumbers").hexdigest()
    assert digest_of(weights) == sha256(b"numbers").hexdigest()
