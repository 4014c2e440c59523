"""What MODEL may be on the command line, and which engine opens it."""

from __future__ import annotations

import json
from hashlib import sha256
from types import SimpleNamespace

import pytest

from cnnreg import models
from cnnreg.errors import ModelFileError, PluginError, UsageError
from cnnreg.files import typed
from cnnreg.manifest import Manifest, write_manifest
from cnnreg.models import digest_of, find_model
from cnnreg.specs import Interface, to_data
from helpers import contract, make_run, train


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


def test_a_run_whose_best_weights_are_gone_says_so(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run)
    run.best.unlink()
    with pytest.raises(ModelFileError, match="best weights are lost.*cnnreg resume"):
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
        {"precision": "fp4"},
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


def test_the_file_of_a_plugins_format_is_found_by_its_manifest(registry, tmp_path):
    (tmp_path / "model.pt2").write_bytes(b"x")
    write_manifest(
        tmp_path,
        Manifest(
            format="pt2",
            precision="fp32",
            model="model.pt2",
            contract=contract(),
            source={},
            parity={},
            environment={},
            created="",
        ),
    )
    for named in (tmp_path, tmp_path / "model.pt2"):
        assert find_model(registry, named).format == "pt2"
