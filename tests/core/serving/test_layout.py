"""The folder that is served: complete at every moment, versioned, and read as the server does."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnnreg import files
from cnnreg.errors import ModelFileError, UsageError
from cnnreg.exporting.original import load_original
from cnnreg.exporting.publishing import publish
from cnnreg.manifest import read_manifest, write_manifest
from cnnreg.run_data import data_of_run
from cnnreg.runs import now
from cnnreg.serving import serve
from cnnreg.serving.layout import model_name, served_name
from cnnreg.specs import Interface
from helpers import cli, make_run, train
from model_server import load, serving

NAME = "mlp-digits-openvino-fp32"


@pytest.fixture(scope="module")
def exports(registry, tmp_path_factory):
    """The folders of a self-contained export in each format."""
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=1)
    train(registry, run)
    original = load_original(registry, run, data_of_run(registry, run))
    embed = Interface(embed=True)
    return {
        name: publish(registry, original, registry.exporters[name], "fp32", interface=embed).folder
        for name in ("openvino", "onnx")
    }


@pytest.fixture
def export(exports, tmp_path):
    """A copy that a test may change."""
    return Path(shutil.copytree(exports["openvino"], tmp_path / "export"))


def rewrite(export: Path, **changes) -> None:
    """Write the manifest anew, as another export of the run would."""
    manifest = read_manifest(export)
    (export / "manifest.json").unlink()
    write_manifest(export, replace(manifest, **changes))


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def names(layout: Path) -> set[str]:
    return {path.name for path in layout.iterdir()} - {files.LOCK}


def test_the_server_finds_every_model_and_its_highest_version(exports, tmp_path):
    layout = tmp_path / "serving"
    for name in ("openvino", "onnx"):
        served = serve(exports[name], layout)
        assert (served.version, served.new) == (1, True)
    both = {NAME, "mlp-digits-onnx-fp32"}
    assert set(load(layout)) == set(read(layout / "labels.json")) == both
    assert names(layout) == {"README.md", "client.py", "config.json", "labels.json", *both}
    manifest = read_manifest(layout / NAME / "1")
    assert read(layout / "labels.json")[NAME]["1"] == list(manifest.contract.classes)
    assert (layout / NAME / "1" / "model-card.md").is_file()


def test_an_unchanged_model_gets_no_version_and_a_changed_one_the_next(export, tmp_path):
    layout = tmp_path / "serving"
    serve(export, layout)
    before = {path: path.stat().st_mtime_ns for path in layout.rglob("*") if path.is_file()}
    rewrite(export, created=now())
    assert serve(export, layout) == serve(export, layout)
    assert serve(export, layout).new is False
    for seconds, new in ((1.0, True), (2.0, False)):  # how long int8 took is no part of it
        rewrite(export, quantised={"way": "fast", "seconds": seconds})
        assert serve(export, tmp_path / "timed").new is new
    rewrite(export, quantised=None)
    del before[layout / files.LOCK]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    rewrite(export, source={"run": "another", "checkpoint_sha256": "0"})
    assert serve(export, layout).version == 2
    assert {path.name for path in (layout / NAME).iterdir()} == {"1", "2"}
    assert load(layout)[NAME].version == "2"
    assert set(read(layout / "labels.json")[NAME]) == {"1", "2"}
    assert read(layout / "config.json")["model_config_list"] == [
        {
            "config": {
                "name": NAME,
                "base_path": NAME,
                "plugin_config": {"INFERENCE_PRECISION_HINT": "f32"},
            }
        }
    ]


def test_names_of_another_script_stay_apart(export):
    manifest = read_manifest(export)
    names = {
        model_name(replace(manifest, source={"data": data})) for data in ("кошки", "птицы", "")
    }
    assert len(names) == 3
    assert "mlp-openvino-fp32" in names
    assert all(re.fullmatch("[A-Za-z0-9_.-]+", name) for name in names)


def test_a_version_has_the_classes_of_the_one_before(export, tmp_path):
    layout = tmp_path / "serving"
    contract = read_manifest(export).contract
    renamed = tuple(f"Ziffer {name} <b>|" for name in contract.classes)
    rewrite(export, contract=replace(contract, classes=renamed))
    serve(export, layout)
    assert read(layout / "labels.json")[NAME] == {"1": list(renamed)}
    assert r"Ziffer 0 \<b\>\|" in (layout / "README.md").read_text(encoding="utf-8")
    rewrite(export, contract=contract)
    with pytest.raises(UsageError, match=f"'{NAME}' that is served there has other classes"):
        serve(export, layout)
    assert read(layout / "labels.json")[NAME] == {"1": list(renamed)}
    assert not (layout / NAME / "2").exists()


def test_runs_on_different_folders_are_different_models(export):
    manifest = read_manifest(export)
    folder = replace(manifest.contract, dataset="folder")
    told = [replace(manifest, contract=folder, source=source) for source in ({"data": "cats"}, {})]
    assert [model_name(one) for one in told] == [
        "mlp-cats-openvino-fp32", "mlp-folder-openvino-fp32",
    ]  # fmt: skip


def test_where_case_does_not_matter_a_model_keeps_its_spelling(export, tmp_path, monkeypatch):
    layout = tmp_path / "serving"
    first = serve(export, layout)
    spelt = first.model
    there = Path.exists
    monkeypatch.setattr(  # as Windows' file systems answer
        Path, "exists", lambda path: there(path) or there(path.with_name(path.name.lower()))
    )
    monkeypatch.setattr("cnnreg.serving.layout.model_name", lambda manifest: spelt.upper())
    assert served_name(layout, read_manifest(export)) == spelt


@pytest.mark.parametrize(("run", "served"), [("run", ("folder", 2)), ("another", ("photos", 1))])
def test_a_run_goes_on_under_the_name_an_older_version_gave_it(export, tmp_path, run, served):
    layout = tmp_path / "serving"
    contract = replace(read_manifest(export).contract, dataset="folder")
    rewrite(export, contract=contract, source={"run": "run", "checkpoint_sha256": "0"})
    serve(export, layout)
    told = {"run": run, "run_created": now(), "checkpoint_sha256": "1", "data": "photos"}
    rewrite(export, source=told)
    now_served = serve(export, layout)
    data, version = served
    assert (now_served.model, now_served.version) == (f"mlp-{data}-openvino-fp32", version)


def test_what_somebody_set_in_the_configuration_stays(export, tmp_path):
    layout = tmp_path / "serving"
    serve(export, layout)
    config = read(layout / "config.json")
    config["model_config_list"][0]["config"]["target_device"] = "GPU"
    config["model_config_list"].append({"config": {"name": "mine", "base_path": "/elsewhere"}})
    (layout / "config.json").write_text(json.dumps(config), encoding="utf-8")
    rewrite(export, source={})
    serve(export, layout)
    assert read(layout / "config.json") == config


@pytest.mark.parametrize("text", ["{", "[]", '{"model_config_list": {}}'])
def test_a_configuration_that_is_none_is_not_overwritten(export, tmp_path, text):
    layout = tmp_path / "serving"
    layout.mkdir()
    (layout / "config.json").write_text(text)
    with pytest.raises(ModelFileError, match=re.escape(str(layout / "config.json"))):
        serve(export, layout)
    assert (layout / "config.json").read_text() == text
    assert not (layout / NAME / "1").exists()


def test_a_damaged_version_is_followed_by_a_whole_one(export, tmp_path):
    layout = tmp_path / "serving"
    serve(export, layout)
    (layout / NAME / "1" / "model.bin").write_bytes(b"short")
    assert serve(export, layout).version == 2
    assert set(read(layout / "labels.json")[NAME]) == {"2"}


@pytest.mark.parametrize("interface", [Interface(), Interface(embed=True, fixed=True)])
def test_only_pictures_of_any_size_are_served(export, tmp_path, interface):
    rewrite(export, interface=interface)
    with pytest.raises(UsageError, match="self-contained"):
        serve(export, tmp_path / "serving")


def test_a_format_the_server_does_not_open_is_refused(export, tmp_path):
    manifest = read_manifest(export)
    (export / "model.xml").rename(export / "model.toy")
    (export / "manifest.json").unlink()
    write_manifest(export, replace(manifest, model="model.toy", format="toy"))
    with pytest.raises(UsageError, match="does not open toy files"):
        serve(export, tmp_path / "serving")


class Killed(BaseException):
    pass


def test_killed_at_any_change_it_serves_the_old_or_the_new(export, tmp_path, monkeypatch):
    """At each rename, the moment at which something gets its name, in turn."""
    first = tmp_path / "first"
    serve(export, first)
    rewrite(export, source={"run": "another"})
    rename, replace_file = Path.rename, Path.replace
    for number in range(1, 20):
        layout = Path(shutil.copytree(first, tmp_path / f"killed-{number}"))
        left = number

        def dying(function):
            def step(self, to):
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return function(self, to)

            return step

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", dying(rename))
            patch.setattr(Path, "replace", dying(replace_file))
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # killed: nothing is cleaned
            try:
                serve(export, layout)
            except Killed:
                pass
            else:
                break
        version = load(layout)[NAME].version
        assert version in read(layout / "labels.json")[NAME]
        read_manifest(layout / NAME / version)
        assert serve(export, layout).version == 2
        assert not [name for name in names(layout) if name.startswith(files.TEMPORARY_PREFIX)]
    assert number > 3


def test_the_readme_holds_requests_that_are_answered(exports, tmp_path):
    layout = tmp_path / "serving"
    serve(exports["openvino"], layout)
    readme = (layout / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in readme.splitlines()]
    plain, binary = (line for line in lines if line.startswith('{"inputs"'))
    (length,) = re.findall(r"Inference-Header-Content-Length: (\d+)", readme)
    pixels = np.array(json.loads(plain)["inputs"][0]["data"], np.uint8)
    assert "docker run --rm" in readme
    assert f"127.0.0.1:8000/v2/models/{NAME}/infer" in readme
    with serving(layout) as url:
        address = f"{url}/v2/models/{NAME}/infer"
        answers = []
        for body, headers in (
            (plain.encode(), {}),
            (binary.encode() + pixels.tobytes(), {"Inference-Header-Content-Length": length}),
        ):
            with urllib.request.urlopen(urllib.request.Request(address, body, headers)) as answer:
                answers.append(json.loads(answer.read()))
    assert answers[0] == answers[1]
    shares = answers[0]["outputs"][0]
    assert (shares["name"], shares["shape"]) == ("probabilities", [1, 10])
    assert sum(shares["data"]) == pytest.approx(1)


def test_the_command_writes_it_beside_the_exports(exports):
    run = exports["openvino"].parents[1]
    code, out, err = cli("export", run, "--openvino", "--serve-layout", "--json")
    assert code == 0, err
    (result,) = json.loads(out)
    assert result["interface"]["embed"] is True
    assert result["served"]["model"] == NAME
    assert set(load(run / "exports" / "serving")) == {NAME}
    code, out, err = cli("export", run, "--openvino", "--serve-layout")
    assert "unchanged, still version 1" in out
    code, _, err = cli("export", run, "--openvino", "--serve-layout", "--fixed")
    assert (code, "--fixed" in err) == (2, True)


def test_the_command_refuses_other_classes_before_it_writes_and_goes_on(export, exports, tmp_path):
    layout = tmp_path / "serving"
    serve(export, layout)
    contract = read_manifest(export).contract
    rewrite(layout / NAME / "1", contract=replace(contract, classes=contract.classes[::-1]))
    run = exports["openvino"].parents[1]
    code, out, _ = cli(
        "export", run, "--openvino", "--onnx", "--serve-layout", "--output", tmp_path, "--json"
    )
    told = json.loads(out)
    assert (code, "has other classes" in told["error"]["message"]) == (2, True)
    assert [published["format"] for published in told["finished"]] == ["onnx"]
    assert {path.name for path in tmp_path.glob("o*")} == {"onnx-fp32-embed"}
