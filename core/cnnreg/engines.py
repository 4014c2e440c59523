"""Which engine opens a model, and whether it can here."""

from __future__ import annotations

from contextlib import AbstractContextManager

from .errors import MissingExtraError, PluginError, UsageError
from .files import typed
from .plugins import PluginStatus, blaming
from .registry import OURS, Registry
from .runs import is_run
from .specs import ModelFile, RuntimeOptions, RuntimeSpec, Session

CHECKPOINT = "checkpoint"
"""The format of a run's own weights."""
MOST_THREADS = 256  # of a process: far above any machine this is for, far below what ends it
OTHER_ENGINES = "`cnnreg list --kind runtimes` shows other engines, --runtime chooses one."


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


def check_threads(threads: int | None) -> None:
    """Raises UsageError for a number that engines end the whole process with, or ignore."""
    if threads is not None and not (hasattr(threads, "__index__") and 1 <= threads <= MOST_THREADS):
        raise UsageError(
            f"threads must be a whole number from 1 to {MOST_THREADS}, not {threads!r:.30}."
        )


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


def require(modules: tuple[str, ...], extra: str) -> None:
    """Raises MissingExtraError if one of these modules is not installed."""
    if name := missing(modules):
        raise MissingExtraError(name, extra)


def need(spec: object) -> None:
    """Raises MissingExtraError if an exporter, a runtime or a logger lacks a package."""
    names = getattr(spec, "requires", ())
    require((names,) if isinstance(names, str) else tuple(names), getattr(spec, "extra", ""))
