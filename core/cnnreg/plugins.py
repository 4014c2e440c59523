"""Find plugins, load each behind a guard, and report what became of every one.

pluggy's own loader dies on the first broken plugin and silently skips a second
package with a used entry-point name; this loop does neither.
"""

from __future__ import annotations

import contextlib
import faulthandler
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pluggy

from . import hookspecs
from .discovery import discovered, own_name, package_of
from .errors import CnnregError, MachineError, PluginError, is_out_of_memory, one_line
from .files import disk_errors, home, write_json
from .output import quiet_stdout

ONLY_VARIABLE = "CNNREG_PLUGINS"
STRICT_VARIABLE = "CNNREG_STRICT"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginStatus:
    """One discovered plugin. `reason` says in one line why it is not loaded."""

    name: str
    distribution: str
    version: str
    module: str
    state: Literal["loaded", "failed", "off"]
    reason: str = ""

    @property
    def package(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class LoadedPlugins:
    manager: pluggy.PluginManager
    statuses: tuple[PluginStatus, ...]

    def status_of(self, name: str) -> PluginStatus:
        return next(status for status in self.statuses if status.name == name)


def load_plugins(only: Iterable[str] | None = None) -> LoadedPlugins:
    """Load the installed plugins, or just those `only` names.

    The environment variable CNNREG_PLUGINS=a,b limits likewise (empty: none), and
    CNNREG_STRICT=1 raises PluginError where a broken plugin would be skipped.
    """
    wanted = _wanted(only)
    disabled = disabled_plugins()
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    statuses = []
    with _telling_crashes():
        for name, point in discovered().items():
            if wanted is not None and name not in wanted and point.name not in wanted:
                statuses.append(_status(point, name, "off", "not named by CNNREG_PLUGINS"))
            elif off := disabled & {name, point.name}:  # a name may have gained its package since
                reason = f"disabled; `cnnreg plugins enable {min(off)}` brings it back"
                statuses.append(_status(point, name, "off", reason))
            else:
                statuses.append(_load(manager, point, name))
    unknown = _unknown(wanted or set(), statuses) if only is None else ()
    return LoadedPlugins(manager, (*statuses, *unknown))


def _unknown(wanted: set[str], statuses: Iterable[PluginStatus]) -> Iterator[PluginStatus]:
    """Those that were named and are not there: what they offer is missed under another word."""
    known = {name for status in statuses for name in (status.name, own_name(status.name))}
    for name in sorted(wanted - known):
        reason = f"named by {ONLY_VARIABLE}, but not installed"
        if is_strict():
            raise PluginError(f"Plugin '{name}' is {reason}.")
        yield PluginStatus(
            name=name, distribution="", version="", module="", state="failed", reason=reason
        )


def disabled_plugins() -> set[str]:
    """Raises MachineError if the list of disabled plugins cannot be read."""
    try:
        return set(json.loads(_disabled_file().read_text(encoding="utf-8")))
    except (FileNotFoundError, MachineError):  # without a home folder there is no list either
        return set()
    except (OSError, ValueError, TypeError) as error:
        raise MachineError(
            f"Cannot read the list of disabled plugins: {one_line(error)}.",
            where=_disabled_file(),
            hint="Delete the file to enable all.",
        ) from error


def set_disabled(name: str, *, disabled: bool) -> None:
    names = disabled_plugins() | {name} if disabled else disabled_plugins() - {name}
    path = _disabled_file()
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, sorted(names))


def _disabled_file() -> Path:
    return home() / "disabled-plugins.json"


def _wanted(only: Iterable[str] | None) -> set[str] | None:
    if only is not None:
        return set(only)
    named = os.environ.get(ONLY_VARIABLE)
    if named is None:
        return None
    return {name.strip() for name in named.split(",") if name.strip()}


def is_strict() -> bool:
    return os.environ.get(STRICT_VARIABLE) == "1"


@contextlib.contextmanager
def _telling_crashes() -> Iterator[None]:
    """What crashes the interpreter itself, as no guard can catch, leaves its file on stderr."""
    ours = False
    if not faulthandler.is_enabled():
        with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
            faulthandler.enable(all_threads=False)  # fails where stderr is no file, or none at all
            ours = True
    try:
        yield
    finally:
        if ours:
            faulthandler.disable()


def _load(manager: pluggy.PluginManager, point: EntryPoint, name: str) -> PluginStatus:
    try:
        with quiet_stdout(), _process_kept():
            if not EntryPoint.pattern.match(point.value):
                raise PluginError(f"'{point.value}' is neither MODULE nor MODULE:OBJECT")
            plugin = point.load()
            if other := manager.get_name(plugin):
                raise PluginError(f"'{other}' is the same {type(plugin).__name__}")
            _refuse_unknown_hooks(plugin, name)
            manager.register(plugin, name=name)
            manager.check_pending()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what pytest.skip raises, say, is no Exception
        with contextlib.suppress(ValueError, AssertionError):
            manager.unregister(name=name)
        reason = one_line(error)
        if is_strict():
            raise PluginError(f"Plugin '{name}' is broken: {reason}", where=point.value) from error
        return _status(point, name, "failed", reason)
    return _status(point, name, "loaded")


@contextlib.contextmanager
def _process_kept() -> Iterator[None]:
    """What a module changes for all when it is imported costs the other plugins nothing."""

    def settings_module() -> ModuleType | None:
        """Not where it would import torch, for which every command would wait."""
        return import_module("cnnreg.training.settings") if "torch" in sys.modules else None

    folder = _working_folder()
    known = settings_module()
    before = known.settings() if known else {}
    try:
        yield
    finally:
        if folder and _working_folder() != folder:
            with contextlib.suppress(OSError):
                os.chdir(folder)
        if known := settings_module():
            known.apply(before or known.FRESH)


def _working_folder() -> str:
    """Empty where it was removed, or may not be entered."""
    with contextlib.suppress(OSError):
        return os.getcwd()  # noqa: PTH109 - never made absolute by itself
    return ""


def _refuse_unknown_hooks(plugin: Any, name: str) -> None:
    """A function named like a hook but not marked is a mistake pluggy cannot see."""
    known = {key for key in vars(hookspecs) if key.startswith(f"{hookspecs.PROJECT}_")}
    for key, value in inspect.getmembers(plugin, inspect.isroutine):
        if key in known and not hasattr(value, f"{hookspecs.PROJECT}_impl"):
            raise PluginError(f"{key} of plugin '{name}' lacks @cnnreg.hookimpl")


def notify_one(
    hook: pluggy.HookCaller,
    implementation: pluggy.HookImpl,
    note: Callable[[str], None],
    **arguments: Any,
) -> None:
    """Call an observer; one that fails is noted and costs nothing else."""
    wanted = {name: arguments[name] for name in implementation.argnames}
    try:
        with quiet_stdout():
            implementation.function(**wanted)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - isolation
        note(f"plugin '{implementation.plugin_name}' failed in {hook.name}: {one_line(error)}")


@contextlib.contextmanager
def blaming(what: str, *, hint: str = "") -> Iterator[None]:
    """An error of a plugin's own code becomes a PluginError that says what failed.

    Of whatever class: what Rust code raises in a panic, say, is no Exception. What the
    plugin prints goes to stderr.
    """
    try:
        with quiet_stdout():
            yield
    except (CnnregError, MemoryError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise
        raise PluginError(f"{what} failed: {one_line(error)}.", hint=hint) from error


def _status(
    point: EntryPoint, name: str, state: Literal["loaded", "failed", "off"], reason: str = ""
) -> PluginStatus:
    distribution, version = package_of(point)
    return PluginStatus(
        name=name,
        distribution=distribution,
        version=version,
        module=point.value,
        state=state,
        reason=reason,
    )
