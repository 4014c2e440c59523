"""From what a user types to a checked model: a run, an export folder, or a model file."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

from .contracts import contract_from_data, interface_from_data
from .errors import FEW, MissingExtraError, ModelFileError, PluginError, UsageError
from .files import file_digest, typed
from .manifest import has_manifest, read_manifest
from .plugins import PluginStatus, blaming, one_line
from .registry import OURS, Registry
from .runs import Run, is_run, open_run, run_around
from .runs.overview import exports_of
from .specs import ModelContract, ModelFile, RuntimeOptions, RuntimeSpec, Session

CHECKPOINT = "checkpoint"
CONTRACT_KEY = "contract"
PRECISION_KEY = "precision"
INTERFACE_KEY = "interface"
SPLIT_KEY = "split"  # not in files of older versions
SUFFIXES = {".onnx": "onnx", ".xml": "openvino"}
OTHER_ENGINES = "`cnnreg list --kind runtimes` shows other engines, --runtime chooses one."
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
        raise ModelFileError(
            "The run has no finished epoch yet.",
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


def runtimes_for(registry: Registry, format_name: str) -> list[RuntimeSpec]:
    """Installed runtimes that open this format."""
    return [
        spec
        for spec in registry.runtimes.specs
        if format_name in spec.formats and not missing(spec.requires)
    ]


def title_of(registry: Registry, runtime: str) -> str:
    """Of one that files are compared in; two plugins may offer the same name."""
    return next(spec.title for spec in registry.runtimes.specs if spec.name == runtime)


def choose_runtime(registry: Registry, model: ModelFile, name: str | None = None) -> RuntimeSpec:
    """The runtime asked for, or the first that fits.

    One of the package that the format comes from goes before those of others, and an engine's
    first format before its second.
    """
    if name is not None:
        spec = registry.runtimes[name]
        if model.format not in spec.formats:
            others = [s.name for s in registry.runtimes.specs if model.format in s.formats]
            raise UsageError(
                f"{spec.title} does not open {model.format} models.",
                hint=f"Try {', '.join(others)}{_or_export(registry, model, spec)}",
            )
        need(spec)
        return spec
    fitting = [spec for spec in registry.runtimes.specs if model.format in spec.formats]
    if not fitting:
        raise PluginError(
            f"No plugin offers a runtime for {model.format} models.",
            where=model.path,
            hint="Install the one that it was exported with, or enable it: `cnnreg plugins`.",
        )
    ready = runtimes_for(registry, model.format)
    if not ready:
        need(fitting[0])
    makers = makers_of(registry, model.format)

    def rank(spec: RuntimeSpec) -> tuple[bool, int]:
        foreign = plugin_of(registry, spec).distribution not in makers
        return foreign, spec.formats.index(model.format)

    return min(ready, key=rank)


def makers_of(registry: Registry, format_name: str) -> set[str]:
    """The packages that a format comes from."""
    if format_name == CHECKPOINT:
        return {OURS}
    offered = registry.exporters.entries
    return {entry.plugin.distribution for entry in offered if entry.spec.name == format_name}


def plugin_of(registry: Registry, runtime: RuntimeSpec) -> PluginStatus:
    return next(entry.plugin for entry in registry.runtimes.entries if entry.spec is runtime)


def _or_export(registry: Registry, model: ModelFile, runtime: RuntimeSpec) -> str:
    """What a run has to become before the engine opens it."""
    run = model.path.parent
    flags = [f"--{name}" for name in runtime.formats if name in registry.exporters]
    if model.format != CHECKPOINT or not flags or not is_run(run):
        return "."
    return f", or export it first: cnnreg export {typed(run)} {flags[0]}"


def open_session(runtime: RuntimeSpec, model: ModelFile, options: RuntimeOptions) -> Session:
    need(runtime)
    with blaming(f"Opening {model.path.name} in {runtime.title}", hint=OTHER_ENGINES):
        session = runtime.open(model, options)
        for name in ("prepare", "infer", "describe"):
            if not callable(getattr(session, name, None)):
                raise TypeError(f"a session has {name}(), this {type(session).__name__} has not")
    return session


def blaming_engine(runtime: RuntimeSpec) -> AbstractContextManager[None]:
    """Round whatever is asked of its session."""
    return blaming(runtime.title, hint=OTHER_ENGINES)


def settings_of(runtime: RuntimeSpec, session: Session) -> dict[str, str]:
    """What a session tells of itself."""
    with blaming_engine(runtime):
        return {str(name): str(value) for name, value in dict(session.describe()).items()}


def missing(modules: tuple[str, ...]) -> str | None:
    """The first of these modules that is not installed. Imports none of them, at most a parent."""
    return next((name for name in modules if not _is_there(name)), None)


def _is_there(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except Exception:  # noqa: BLE001 - of a.b it imports a, which may be missing or broken
        return False


def need(spec: object) -> None:
    """Raises MissingExtraError if an exporter, a runtime or a logger lacks a package."""
    if name := missing(getattr(spec, "requires", ())):
        raise MissingExtraError(name, getattr(spec, "extra", ""))


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
        if missing(("torch", "safetensors")):
            raise MissingExtraError("torch", "train")
        from .training.saving.checkpoint import read_checkpoint

        return _checkpoint(registry, path, read_checkpoint(path).contract)
    if path.suffix == ".bin" and (network := path.with_suffix(".xml")).is_file():
        raise ModelFileError(
            "This holds the weights alone of an OpenVINO model.",
            where=path,
            hint=f"Name {typed(network)}",
        )
    if path.suffix not in SUFFIXES:
        known = ", ".join([".safetensors", *SUFFIXES])
        raise ModelFileError(
            "Not a model file this tool reads.",
            where=path,
            hint=f"Known: {known}. Weights made elsewhere: cnnreg import {typed(path)} --arch NAME",
        )
    if has_manifest(path.parent):
        model = exported_model(path.parent)
        if model.path.name == path.name:
            return model
    return _bare_file(registry, path)


def _bare_file(registry: Registry, path: Path) -> ModelFile:
    """A file moved away from its manifest still carries its contract inside."""
    format_name = SUFFIXES[path.suffix]
    for runtime in runtimes_for(registry, format_name):
        if runtime.metadata is None:
            continue
        with blaming_engine(runtime):
            texts = dict(runtime.metadata(path))
        try:
            contract = contract_from_data(json.loads(texts[CONTRACT_KEY]))
            interface = interface_from_data(json.loads(texts[INTERFACE_KEY]))
            split = json.loads(texts.get(SPLIT_KEY, "null"))
            precision = texts[PRECISION_KEY]
        except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ModelFileError(
                f"The file does not say how to use it: {one_line(error)}.",
                where=path,
                hint="Only models that `cnnreg export` wrote carry their classes and input.",
            ) from error
        return ModelFile(
            path=path,
            format=format_name,
            precision=precision,  # type: ignore[arg-type]  # checked by the contract's writer
            contract=contract,
            interface=interface,
            split=split,
        )
    raise PluginError(f"No installed runtime reads {format_name} files.", where=path)
