"""Who takes part in a benchmark: models, engines and devices."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from cnnreg.engines import choose_runtime, open_session, runtimes_for, settings_of
from cnnreg.errors import CnnregError, MachineError, PluginError, UsageError
from cnnreg.machine.devices import alike, devices_of, identity_of, kind_of, listed_devices
from cnnreg.registry import Registry
from cnnreg.specs import ModelFile, RuntimeOptions, RuntimeSpec

from .bench import Contestant

Absence = tuple[RuntimeSpec, CnnregError]
"""An engine that cannot be used on a device, and what it says."""

ALL = "ALL"
USUAL_NAME = re.compile(r"(\d{8}-\d{6})-(.+)")  # of a run: when, and what


def load_contestants(
    registry: Registry,
    models: list[ModelFile],
    settings: RuntimeOptions,
    devices: tuple[str, ...],
    *,
    only: tuple[str, ...] = (),
) -> list[Contestant]:
    """Every model in every installed runtime that opens it, on each of the devices it has.

    An engine that fails is left out. Raises its error, or MachineError, if a device that was
    named is in none of them, or none of all can be used; UsageError if no runtime fits.
    """
    asked = _different(devices)
    one_device = len(asked) == 1 and asked != [ALL]

    contestants: list[Contestant] = []
    opened, absent, remarks = set(), defaultdict[str, list[Absence]](list), []
    for label, model, runtime in _pairs(registry, models, only):
        try:
            places = [*listed_devices(runtime)] if ALL in asked else []
            places += [name for name in asked if name != ALL and not _is_among(name, places)]
        except (MachineError, PluginError) as error:
            absent[""].append((runtime, error))  # of no device in particular
            remarks.append(f"{label} is left out: {error.what}")
            continue
        for device in places:
            started = perf_counter()
            try:
                session = open_session(runtime, model, replace(settings, device=device))
                seconds = perf_counter() - started
                place = settings_of(runtime, session).get("device", device)
            except (MachineError, PluginError) as error:
                absent[device].append((runtime, error))
                name = label if one_device else f"{label} on {device}"
                remarks.append(f"{name} is left out: {error.what}")
                continue
            name = label if one_device else f"{label} on {place}"
            named = _is_among(device, asked)
            contestants.append(Contestant(name, model, runtime, session, seconds, place, named))
            opened.add(device)
    for remark in remarks:
        settings.note(remark)
    for device, absences in absent.items():
        if not opened or (_is_among(device, asked) and not _is_among(device, opened)):
            raise _most_telling(absences)
    if not contestants:
        for name in only:
            choose_runtime(registry, models[0], name)  # which says what does fit
        raise UsageError("No installed runtime fits these models.", hint="See `cnnreg doctor`.")
    return contestants


def _different(devices: Iterable[str]) -> list[str]:
    """Each device once, by the first of its names."""
    kept: list[str] = []
    for device in map(str.upper, devices):
        if not any(alike(device, own) for own in kept):
            kept.append(device)
    return kept


def _is_among(device: str, those: Iterable[str]) -> bool:
    return any(alike(device, own) for own in those if own != ALL)


def _most_telling(absences: Sequence[Absence]) -> CnnregError:
    """Of an engine that might have had the device: others only say which engines might."""
    return max(absences, key=lambda absence: _has_devices(absence[0]))[1]


def _has_devices(runtime: RuntimeSpec) -> bool:
    """Whether it is for more than the processor, though there may be nothing else here."""
    others = (kind_of(device) != "CPU" for device in devices_of(runtime))
    return runtime.details is not None or any(others)


def device_names(contestants: Iterable[Contestant]) -> dict[str, str]:
    """The full name of each place where one of them runs, and its driver, if it has one."""
    names: dict[str, str] = {}
    for contestant in contestants:
        place = contestant.device
        if place not in names:
            names[place] = place
            with suppress(Exception):  # of a plugin or a driver: a name is not worth the figures
                names[place] = _full_name(contestant.runtime, place)
    return names


def _full_name(runtime: RuntimeSpec, place: str) -> str:
    told = identity_of(runtime, place)
    name = told["device_name"] or place
    return f"{name}, driver {told['driver']}" if told["driver"] else name


def _pairs(
    registry: Registry, models: list[ModelFile], only: tuple[str, ...]
) -> Iterator[tuple[str, ModelFile, RuntimeSpec]]:
    """Models and the runtimes to time them in, with a label."""
    wanted = [registry.runtimes[name].name for name in only]
    for model, title in zip(models, _titles(models), strict=True):
        for runtime in runtimes_for(registry, model.format):
            if wanted and runtime.name not in wanted:
                continue
            second = runtime.formats.index(model.format) > 0
            if second and len(models) > 1 and not wanted:
                continue  # an engine's second format is timed only when asked for
            label = f"{runtime.title} {model.precision}{model.interface.suffix.replace('-', ' ')}"
            if second:
                label += f" ({model.format})"
            yield f"{title}{label}", model, runtime


def _titles(models: list[ModelFile]) -> list[str]:
    """What stands before each label to tell networks apart, and runs of one network."""
    networks = [model.contract.architecture for model in models]
    several = len(set(networks)) > 1
    titles = [f"{network} " if several else "" for network in networks]
    alike = Counter((m.contract.architecture, m.format, m.precision, m.interface) for m in models)
    if max(alike.values(), default=1) == 1:
        return titles
    runs = [run_of(model) for model in models]
    unique = len({run.name for run in runs}) == len(set(runs))
    names = [run.name if unique else str(run) for run in runs]
    return [f"{name} {title}" for name, title in zip(_short(names), titles, strict=True)]


def _short(names: list[str]) -> list[str]:
    """What of the runs was trained, or else when, where that tells them apart."""
    for part in (r"\2", r"\1"):
        parts = [USUAL_NAME.sub(part, name) for name in names]
        if len(set(parts)) == len(set(names)):
            return parts
    return names


def run_of(model: ModelFile) -> Path:
    """The folder of the run, or of an export that lies elsewhere."""
    folder = model.path.resolve().parent
    return folder.parent.parent if folder.parent.name == "exports" else folder
