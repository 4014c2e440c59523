"""The registry: what all loaded plugins offer, by name, built once and then immutable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import pluggy

from .errors import PluginError, UnknownNameError, one_line
from .output import quiet_stdout
from .plugins import LoadedPlugins, PluginStatus, is_strict, load_plugins
from .specs import (
    ArchitectureSpec,
    DatasetSpec,
    ExporterSpec,
    ModelContract,
    OptimizerSpec,
    RecipeSpec,
    RuntimeSpec,
)

OURS = "cnn-registry"
"""The distribution that this is."""

KINDS = ("architectures", "datasets", "optimizers", "recipes", "formats", "runtimes")
"""What a registry holds, in the words of its users."""


class Named(Protocol):
    @property
    def name(self) -> str: ...


S = TypeVar("S", bound=Named)


@dataclass(frozen=True, slots=True)
class Entry(Generic[S]):
    """A spec and the plugin that offers it."""

    spec: S
    plugin: PluginStatus

    @property
    def qualified(self) -> str:
        return f"{self.plugin.name}:{self.spec.name}"

    @property
    def origin(self) -> str:
        return f"'{self.plugin.name}' ({self.plugin.package or 'local'})"


class Catalog(Generic[S]):
    """Specs of one kind by name. A name offered twice answers only to `plugin:name`.

    No Mapping: what is looked up has to be there, and one name may be of two.
    """

    def __init__(self, kind: str, entries: Iterable[Entry[S]]) -> None:
        self.kind = kind
        self.entries = tuple(sorted(entries, key=lambda e: (e.spec.name, e.plugin.name)))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(entry.spec.name for entry in self.entries))

    def __len__(self) -> int:
        return len({entry.spec.name for entry in self.entries})

    def __contains__(self, name: object) -> bool:
        return any(name in (entry.spec.name, entry.qualified) for entry in self.entries)

    def __getitem__(self, name: str) -> S:
        return self.entry(name).spec

    def entry(self, name: str) -> Entry[S]:
        """Raises UnknownNameError with suggestions, or PluginError if two plugins offer it."""
        found = [entry for entry in self.entries if name in (entry.spec.name, entry.qualified)]
        if not found:
            raise UnknownNameError(self.kind, name, self)
        if len(found) > 1:
            origins = " and ".join(entry.origin for entry in found)
            choices = " or ".join(entry.qualified for entry in found)
            raise PluginError(
                f"{self.kind.capitalize()} '{name}' is offered by both {origins}.",
                hint=f"Say {choices}, or leave one out: cnnreg plugins disable NAME",
            )
        return found[0]

    @property
    def specs(self) -> tuple[S, ...]:
        """All of them, those that share a name too."""
        return tuple(entry.spec for entry in self.entries)

    def conflicts(self) -> frozenset[str]:
        names = [entry.spec.name for entry in self.entries]
        return frozenset(name for name in names if names.count(name) > 1)


@dataclass(frozen=True, slots=True)
class Registry:
    plugins: tuple[PluginStatus, ...]
    manager: pluggy.PluginManager
    architectures: Catalog[ArchitectureSpec]
    datasets: Catalog[DatasetSpec]
    optimizers: Catalog[OptimizerSpec]
    recipes: Catalog[RecipeSpec]
    exporters: Catalog[ExporterSpec]
    runtimes: Catalog[RuntimeSpec]

    def catalogs(self) -> dict[str, Catalog[Any]]:
        """All of them, by KINDS."""
        every = (
            self.architectures,
            self.datasets,
            self.optimizers,
            self.recipes,
            self.exporters,
            self.runtimes,
        )
        return dict(zip(KINDS, every, strict=True))

    def architecture_of(self, contract: ModelContract) -> ArchitectureSpec:
        return self.entry_of(contract).spec

    def entry_of(self, contract: ModelContract) -> Entry[ArchitectureSpec]:
        """The architecture that a model was built with; of several with one name, its package's.

        Raises PluginError if it is not installed, or if the model does not say which it is.
        """
        name = contract.architecture
        if name not in self.architectures:
            raise PluginError(
                f"The model's architecture '{name}' is not installed.",
                hint=f"It came from: {contract.plugin}.",
            )
        offered = [entry for entry in self.architectures.entries if entry.spec.name == name]
        # Of whatever version: an update changes the package, and its models stay its own.
        package = contract.plugin.partition(" ")[0]
        own = [one for one in offered if _project(one.plugin.distribution) == _project(package)]
        packed = all(entry.plugin.distribution for entry in offered)  # one may be at work on it
        if package and packed and not own:
            raise PluginError(
                f"The model's architecture '{name}' is of the package {package}; the one that is "
                f"here is of {offered[0].origin}.",
                hint=f"Install {package}, or train the other from these weights: "
                f"cnnreg train {name} --weights RUN",
            )
        if len(offered) > 1:
            offered = own
        if len(offered) > 1:
            plugins = " and ".join(f"'{entry.plugin.name}'" for entry in offered)
            raise PluginError(
                f"Architecture '{name}' is offered by {plugins} of one package, and a model names "
                "the package alone.",
                hint="Leave one out: cnnreg plugins disable NAME",
            )
        return offered[0] if offered else self.architectures.entry(name)


def load_registry(only: Iterable[str] | None = None) -> Registry:
    """Ask every plugin once. A hook that fails is reported; everything else goes on."""
    collector = _Collector(load_plugins(only))
    return Registry(
        architectures=collector.catalog("architecture", ArchitectureSpec),
        datasets=collector.catalog("dataset", DatasetSpec),
        optimizers=collector.catalog("optimizer", OptimizerSpec),
        recipes=collector.catalog("recipe", RecipeSpec),
        exporters=collector.catalog("format", ExporterSpec, hook_name="cnnreg_exporters"),
        runtimes=collector.catalog("runtime", RuntimeSpec),
        plugins=collector.statuses(),
        manager=collector.loaded.manager,
    )


def _project(distribution: str) -> str:
    """However its name is spelt: https://packaging.python.org/specifications/name-normalization."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class _Collector:
    """Calls the collecting hooks plugin by plugin, so that one failure stays one failure."""

    def __init__(self, loaded: LoadedPlugins) -> None:
        self.loaded = loaded
        self.broken: dict[str, str] = {}

    def catalog(self, kind: str, spec_type: type[S], hook_name: str = "") -> Catalog[S]:
        """`kind` is the users' word, and the hook's where no other is named."""
        hook = getattr(self.loaded.manager.hook, hook_name or f"cnnreg_{kind}s")
        entries: list[Entry[S]] = []
        for implementation in hook.get_hookimpls():
            name = implementation.plugin_name
            try:
                offered = _specs(implementation.function, spec_type, kind)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                reason = f"{hook.name} failed: {one_line(error)}"
                if is_strict():
                    raise PluginError(f"Plugin '{name}' is broken: {reason}") from error
                self.broken[name] = reason
                continue
            status = self.loaded.status_of(name)
            entries += [Entry(spec, status) for spec in offered]
        return Catalog(kind, entries)

    def statuses(self) -> tuple[PluginStatus, ...]:
        return tuple(
            replace(status, state="failed", reason=self.broken[status.name])
            if status.name in self.broken
            else status
            for status in self.loaded.statuses
        )


def _specs(function: Callable[[], Any], spec_type: type[S], kind: str) -> list[S]:
    with quiet_stdout():
        offered = list(function())
    for spec in offered:
        if not isinstance(spec, spec_type):
            raise PluginError(f"a {kind} must be a {spec_type.__name__}, not {spec!r:.80}")
    names = [getattr(spec, "name", "") for spec in offered]
    if twice := [name for name in names if names.count(name) > 1]:
        raise PluginError(f"two {kind}s are called '{twice[0]}'")
    return offered
