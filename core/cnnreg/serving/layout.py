"""A model repository for OpenVINO Model Server, which may be serving it meanwhile.

    serving/
        config.json             the models; what somebody added to an entry is kept
        labels.json             model -> version -> class names, which the server does not carry
        client.py, README.md
        MODEL/1/                an export, whole, with its manifest; the highest number is served

A version's folder gets its name in one step, and after its labels: whenever a writer is
killed, or the server looks, everything that can be asked for is complete.

Format: https://docs.openvino.ai/2026/model-server/ovms_docs_models_repository.html
"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

from cnnreg.errors import ModelFileError, UsageError
from cnnreg.files import (
    disk_errors,
    publish_folder,
    read_json,
    sole_writer,
    sweep_temporaries,
    temporary_folder,
    write_text,
)
from cnnreg.manifest import Manifest, read_manifest, same_run
from cnnreg.specs import to_data

from .guide import guide

LAYOUT = "serving"  # the folder's name, beside the exports
SUFFIXES = (".xml", ".onnx")
MODELS = "model_config_list"
AS_PROVEN = {"INFERENCE_PRECISION_HINT": "f32"}  # else processors that have bf16 take it
OF_ITS_MAKING = ("created", "parity", "environment")  # of a manifest: no part of the model


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    folder: Path  # the layout
    model: str  # the name that clients ask for
    version: int
    new: bool  # False: the latest version was made of the same


def serve(export: Path, layout: Path) -> Served:
    """Add a self-contained export to the layout, unless its latest version is the same.

    Raises UsageError where the server cannot use it and as `served_name` does, MachineError
    or ModelFileError.
    """
    manifest = read_manifest(export)
    if Path(manifest.model).suffix not in SUFFIXES:
        raise UsageError(f"OpenVINO Model Server does not open {manifest.format} files.")
    if not manifest.interface.embed or manifest.interface.fixed:
        raise UsageError("Only self-contained exports for pictures of any size can be served.")
    with disk_errors(layout):
        layout.mkdir(parents=True, exist_ok=True)
    with sole_writer(layout):
        sweep_temporaries(layout)
        name = served_name(layout, manifest)
        with disk_errors(layout):
            (layout / name).mkdir(exist_ok=True)
        config, models = _config(layout), _whole_versions(layout)
        latest = max(_numbers(layout / name), default=0)
        before = models[name].get(latest)
        new = not latest or _identity(before) != _identity(manifest)
        version = latest + new
        models[name][version] = manifest
        _write_if_other(layout / "labels.json", _json(_labels(models)))
        _write_if_other(layout / "client.py", _client())
        if new:
            _add(export, layout, layout / name / str(version))
        _enter(config, name)
        _write_if_other(layout / "config.json", _json(config))
        current = {model: max(made.items()) for model, made in sorted(models.items()) if made}
        _write_if_other(layout / "README.md", guide(current))
    return Served(folder=layout, model=name, version=version, new=new)


def is_layout(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("labels.json", "client.py"))


def served_name(layout: Path, manifest: Manifest) -> str:
    """What an export is called there; a run goes on under an older version's name for it.

    Raises UsageError where clients would be told of other classes than before.
    """
    names = (model_name(manifest), model_name(replace(manifest, source={})))
    with disk_errors(layout):
        name, older = (_as_spelt(layout, name) for name in names)
        before, former = _latest(layout / name), _latest(layout / older)
    if before is None and former is not None and same_run(former.source, manifest.source):
        name, before = older, former
    if before is not None and before.contract.classes != manifest.contract.classes:
        raise UsageError(
            f"The model '{name}' that is served there has other classes.",
            where=layout / name,
            hint="Move that folder away, or go elsewhere with --output.",
        )
    return name


def _as_spelt(layout: Path, name: str) -> str:
    """A folder that is there by that name, as it is spelt: Windows takes Photos for photos."""
    if not (layout / name).exists():
        return name
    spellings = [path.name for path in layout.iterdir() if path.name.lower() == name.lower()]
    return name if name in spellings or not spellings else spellings[0]


def model_name(manifest: Manifest) -> str:
    contract = manifest.contract
    parts = (contract.architecture, manifest.data, manifest.format, manifest.precision)
    name = "-".join(filter(None, parts))
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    # Two names of another script must not become one.
    return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"


def _identity(manifest: Manifest | None) -> dict[str, Any] | None:
    """What a model was made of: checkpoint, form and packages. None equals no model's.

    The bytes would not do: a converter names its nodes by what it has converted before.
    """
    if manifest is None:
        return None
    kept = {name: item for name, item in to_data(manifest).items() if name not in OF_ITS_MAKING}
    if kept["quantised"]:
        kept["quantised"] = {**kept["quantised"], "seconds": None}
    return {**kept, "versions": manifest.environment.get("versions")}


def _add(export: Path, layout: Path, target: Path) -> None:
    # Not beside its target: the server looks at every folder there.
    with temporary_folder(layout / target.name) as temporary, disk_errors(layout):
        for file in export.iterdir():
            if not file.name.startswith("."):
                shutil.copyfile(file, temporary / file.name)
        read_manifest(temporary)
        publish_folder(temporary, target)


def _numbers(model: Path) -> list[int]:
    """A model's versions, as the server reads them: folders that are called like a number."""
    names = [path.name for path in model.iterdir() if path.is_dir()]
    return [int(name) for name in names if re.fullmatch("[1-9][0-9]*", name)]


def _latest(model: Path) -> Manifest | None:
    """Of the version that is served, if there is one and it is whole."""
    with suppress(ModelFileError, FileNotFoundError):
        return read_manifest(model / str(max(_numbers(model), default=0)))
    return None


def _whole_versions(layout: Path) -> dict[str, dict[int, Manifest]]:
    """By model; a version that is damaged is left out, and followed by a whole one."""
    found: dict[str, dict[int, Manifest]] = {}
    for model in layout.iterdir():
        if model.is_dir() and not model.name.startswith("."):
            found[model.name] = {}
            for number in _numbers(model):
                with suppress(ModelFileError):
                    found[model.name][number] = read_manifest(model / str(number))
    return found


def _labels(models: dict[str, dict[int, Manifest]]) -> dict[str, dict[str, Any]]:
    return {
        model: {str(number): made.contract.classes for number, made in sorted(versions.items())}
        for model, versions in sorted(models.items())
        if versions
    }


def _config(layout: Path) -> dict[str, Any]:
    """What is there, entries of other models and settings included."""
    path = layout / "config.json"
    if not path.exists():
        return {MODELS: []}
    config = read_json(path)
    if not isinstance(config, dict) or not isinstance(config.setdefault(MODELS, []), list):
        raise ModelFileError("Not a configuration of OpenVINO Model Server.", where=path)
    return config


def _enter(config: dict[str, Any], name: str) -> None:
    entries = [entry.get("config") for entry in config[MODELS] if isinstance(entry, dict)]
    if name not in [entry.get("name") for entry in entries if isinstance(entry, dict)]:
        entry = {"name": name, "base_path": name, "plugin_config": AS_PROVEN}
        config[MODELS].append({"config": entry})


def _client() -> str:
    return (resources.files(__package__) / "client.py").read_text(encoding="utf-8")


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _write_if_other(path: Path, text: str) -> None:
    """The server loads its configuration anew whenever the file changes."""
    with disk_errors(path):
        same = path.exists() and path.read_bytes() == text.encode()
    if not same:
        write_text(path, text)
