"""From what a user types to a checked model: a run, an export folder, or a model file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from .engines import CHECKPOINT, blaming_engine, require, runtimes_for
from .errors import FEW, ModelFileError, PluginError, UsageError, one_line
from .files import file_digest, typed
from .manifest import has_manifest, read_manifest
from .registry import Registry
from .runs import Run, is_run, open_run, read_metrics, run_around
from .runs.overview import exports_of
from .specs import Interface, ModelContract, ModelFile, Precision

CONTRACT_KEY = "contract"
PRECISION_KEY = "precision"
INTERFACE_KEY = "interface"
SPLIT_KEY = "split"  # not in files of older versions
FINGERPRINT = "data_fingerprint"  # in it: of the images as the run had split them
SUFFIXES = {".onnx": "onnx", ".xml": "openvino"}
KINDS = "Name a run, an export folder, or a model file."


def find_model(registry: Registry, path: Path) -> ModelFile:
    """Raises UsageError, ModelFileError or PluginError."""
    if is_run(path):
        return checkpoint_of(registry, open_run(path))
    if has_manifest(path):
        return exported_model(path)
    if path.is_file():
        return _single_file(registry, path)
    if path.is_dir():
        raise UsageError(
            "This folder holds neither a run nor an export.", where=path, hint=_instead_of(path)
        )
    raise UsageError(
        "There is no such model.", where=path, hint=f"{KINDS} `cnnreg runs` lists the runs."
    )


def models_of(registry: Registry, run: Run) -> list[ModelFile]:
    """The run's checkpoint and everything exported from it."""
    folders = [run.exports / name for name in exports_of(run)]
    return [checkpoint_of(registry, run), *map(exported_model, folders)]


def checkpoint_of(registry: Registry, run: Run) -> ModelFile:
    if not run.best.is_file():
        lost = bool(read_metrics(run.folder))
        raise ModelFileError(
            "The run's best weights are lost." if lost else "The run has no finished epoch yet.",
            where=run.folder,
            hint=f"Go on with: cnnreg resume {typed(run.folder)}",
        )
    return _checkpoint(registry, run.best, run.config.contract)


def exported_model(folder: Path) -> ModelFile:
    manifest = read_manifest(folder)
    return ModelFile(
        path=folder / manifest.model,
        format=manifest.format,
        precision=manifest.precision,
        contract=manifest.contract,
        interface=manifest.interface,
        split=manifest.source.get(SPLIT_KEY),
    )


def digest_of(path: Path) -> str:
    """The sha256 of a model's file; of an .xml, with the weights in the .bin beside it."""
    weights = path.with_suffix(".bin")
    both = path.suffix == ".xml" and weights.is_file()
    return file_digest(path, weights) if both else file_digest(path)


def _checkpoint(registry: Registry, path: Path, contract: ModelContract) -> ModelFile:
    return ModelFile(
        path=path,
        format=CHECKPOINT,
        precision="fp32",
        contract=contract,
        architecture=registry.architecture_of(contract),
    )


def _instead_of(folder: Path) -> str:
    """What a user may have meant by a folder that is no model."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if exports := [typed(path) for path in inside if has_manifest(path)]:
        return f"Name an export in it: {', '.join(exports[:FEW])}"
    run = run_around(folder)
    return f"Name the run: {typed(run)}" if run else KINDS


def _single_file(registry: Registry, path: Path) -> ModelFile:
    if path.suffix == ".safetensors":
        require(("torch", "safetensors"), "train")
        from .training.saving.checkpoint import read_checkpoint

        return _checkpoint(registry, path, read_checkpoint(path).contract)
    if path.suffix == ".bin" and (network := path.with_suffix(".xml")).is_file():
        raise ModelFileError(
            "This holds the weights alone of an OpenVINO model.",
            where=path,
            hint=f"Name {typed(network)}",
        )
    if has_manifest(path.parent):
        model = exported_model(path.parent)
        if model.path.name == path.name:
            return model
    if path.suffix not in SUFFIXES:
        known = ", ".join([".safetensors", *SUFFIXES])
        raise ModelFileError(
            "Not a model file this tool reads.",
            where=path,
            hint=f"Known: {known}. Weights made elsewhere: cnnreg import {typed(path)} --arch NAME",
        )
    return _bare_file(registry, path)


def _bare_file(registry: Registry, path: Path) -> ModelFile:
    """A file moved away from its manifest still carries its contract inside."""
    format_name = SUFFIXES[path.suffix]
    for runtime in runtimes_for(registry, format_name):
        if runtime.metadata is None:
            continue
        with blaming_engine(runtime):
            texts: dict[str, Any] = dict(runtime.metadata(path))
        try:
            contract = ModelContract.from_data(json.loads(texts[CONTRACT_KEY]))
            interface = Interface.from_data(json.loads(texts[INTERFACE_KEY]))
            split = json.loads(texts.get(SPLIT_KEY, "null"))
            precision = texts[PRECISION_KEY]
            if precision not in get_args(Precision):
                raise ValueError(f"precision {precision!r:.40} is unknown")
        except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ModelFileError(
                f"The file does not say how to use it: {one_line(error)}.",
                where=path,
                hint="Only models that `cnnreg export` wrote carry their classes and input.",
            ) from error
        return ModelFile(
            path=path,
            format=format_name,
            precision=precision,
            contract=contract,
            interface=interface,
            split=split,
        )
    raise PluginError(f"No installed runtime reads {format_name} files.", where=path)
