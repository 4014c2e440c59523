"""`cnnreg doctor`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cnnreg.engines import missing
from cnnreg.errors import CnnregError, MachineError, one_line, pip_line
from cnnreg.exporting.targets import ENGINE
from cnnreg.files import WINDOWS, home
from cnnreg.machine.compiled import compiled_folder
from cnnreg.machine.devices import Facts, details_of, kind_of, listed_devices
from cnnreg.machine.environment import environment, has_bf16, has_vnni
from cnnreg.machine.graphics import intel_graphics, mend_for_graphics
from cnnreg.machine.nvidia import mend_for_nvidia
from cnnreg.specs import ExporterSpec, RuntimeSpec

from .common import console, get_registry, human_bytes, json_option, print_json

ISA_LIMIT = "ONEDNN_MAX_CPU_ISA"

Found = TypeVar("Found")


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show this machine, the devices each runtime sees, and how to mend what is missing."""
    registry = get_registry()
    machine: dict[str, Any] = _try(environment, {})
    runtimes = [_runtime(spec) for spec in registry.runtimes.specs]
    formats = [_requirement(spec) for spec in registry.exporters.specs]
    unseen: list[dict[str, str]] = _try(lambda: _graphics_mends(runtimes), [])
    report = {
        "environment": machine,
        "vnni": has_vnni(machine.get("isa", ())),
        "bf16": has_bf16(machine.get("isa", ())),
        "training": _try(_training_place, None),
        "runtimes": runtimes,
        "formats": formats,
        "compiled": {
            "folder": _try(lambda: str(compiled_folder()), None),
            "bytes": _try(_kept_bytes, 0),
        },
        "mends": [*_mends(runtimes + formats), *unseen, *_nvidia_mends(), *_home_mends()],
        "plugins": [status for status in registry.plugins if status.state != "loaded"],
    }
    if as_json:
        print_json(report)
    else:
        _print(report)


def _try(look: Callable[[], Found], otherwise: Found) -> Found:
    """What is broken is what this command is for: it goes on without."""
    try:
        return look()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - as above
        return otherwise


def _requirement(spec: ExporterSpec | RuntimeSpec) -> dict[str, Any]:
    lacking = missing(spec.requires)
    mend = pip_line(lacking, spec.extra) if lacking else ""
    return {"name": spec.name, "title": spec.title, "missing": lacking, "mend": mend}


def _runtime(spec: RuntimeSpec) -> dict[str, Any]:
    """`devices` by their full names, `details` what else their drivers tell."""
    facts = {**_requirement(spec), "devices": {}, "details": {}}
    if facts["missing"]:
        return facts
    try:
        facts["devices"] = listed_devices(spec)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a broken driver is what this command is for
        what = error.what.rstrip(".") if isinstance(error, CnnregError) else one_line(error)
        mend = getattr(error, "hint", "") or "reinstall its package"
        return {**facts, "missing": what, "mend": mend}
    details: Facts = _try(lambda: details_of(spec), {})
    return {**facts, "details": details}


def _training_place() -> str | None:
    """What `train` takes by itself; None without torch."""
    if missing(("torch",)):
        return None
    from cnnreg.training.building import choose_device, device_text

    return device_text(choose_device("auto"))


def _nvidia_mends() -> list[dict[str, str]]:
    mend = "" if missing(("torch",)) else _try(mend_for_nvidia, "")
    what = "an NVIDIA GPU that PyTorch can use: its driver is there, training takes the processor"
    return [{"what": what, "mend": mend}] if mend else []


def _kept_bytes() -> int:
    return sum(path.stat().st_size for path in compiled_folder().rglob("*") if path.is_file())


def _mends(needs: list[dict[str, Any]]) -> list[dict[str, str]]:
    lacks = {(facts["title"], facts["missing"], facts["mend"]): None for facts in needs}
    return [
        {"what": f"{title} needs {lacking}", "mend": mend} for title, lacking, mend in lacks if mend
    ]


def _home_mends() -> list[dict[str, str]]:
    try:
        home()
    except MachineError as error:
        return [{"what": "a home folder, to keep settings in", "mend": error.hint}]
    return []


def _graphics_mends(runtimes: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Why a GPU that is there, or may be, cannot be used."""
    engine = next((facts for facts in runtimes if facts["name"] == ENGINE), None)
    if engine is None or engine["missing"]:
        return []
    if any(kind_of(name) == "GPU" for name in engine["devices"]):
        return []
    problem = engine["details"].get("GPU", {}).get("problem", "")
    seen = intel_graphics()
    mend = mend_for_graphics(problem)
    if not mend or not (seen or WINDOWS):  # there only the user can see what graphics there are
        return []
    known = f"Intel graphics ({', '.join(seen)}) are not seen" if seen else "no GPU is seen"
    why = f": {problem}" if problem else ""
    return [{"what": f"{known} by {engine['title']}{why}", "mend": mend}]


def _print(report: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in (*_machine_rows(report), *_engine_rows(report)):
        table.add_row(name, escape(text))
    out.print(table)
    for mend in report["mends"]:
        out.print(f"missing: {mend['what']}\n    try: {mend['mend']}", markup=False, soft_wrap=True)
    for status in report["plugins"]:
        out.print(f"plugin {status.name} is {status.state}: {status.reason}", markup=False)


def _machine_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    machine = report["environment"]
    if not machine:
        return []
    limit = os.environ.get(ISA_LIMIT)
    return [
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        (
            "instructions",
            (", ".join(machine["isa"]) or "none of the decisive ones")
            + (f" (OpenVINO is held to {ISA_LIMIT}={limit})" if limit else ""),
        ),
        (
            "int8",
            "yes, by VNNI: the fast way here (cnnreg export --target cpu)"
            if report["vnni"]
            else "no VNNI: it gains less here, and --target cpu writes fp32",
        ),
        (
            "bf16",
            "in hardware"
            if report["bf16"]
            else "not in hardware: --precision bf16 would be emulated and slow",
        ),
        ("memory", f"{machine['memory_gib']} GiB"),
        ("load", f"{_known(machine['load'])}, power: {_known(machine['power'])}"),
        ("system", f"{machine['system']}, Python {machine['python']}"),
        *machine["versions"].items(),
    ]


def _known(fact: object) -> str:
    return "unknown" if fact is None else str(fact)


def _engine_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    kept = report["compiled"]
    place = report["training"]
    return [
        ("training", f"on {place}" if place else "not possible: it needs torch"),
        *((facts["title"], _devices(facts) or _lack(facts)) for facts in report["runtimes"]),
        *(
            (f"{facts['title']} export", _lack(facts) if facts["missing"] else "ready")
            for facts in report["formats"]
        ),
        (
            "compiled models",
            f"{human_bytes(kept['bytes'])} in {kept['folder']}"
            if kept["folder"]
            else "not kept: there is no home folder",
        ),
    ]


def _devices(facts: dict[str, Any]) -> str:
    """A line for each device."""
    lines = []
    for name, full in facts["devices"].items():
        told = dict(facts["details"].get(name, {}))
        capabilities = told.pop("capabilities", "")
        rest = [f"{key} {text}" for key, text in told.items()]
        lines.append(
            ": ".join(filter(None, (f"{name} ({full})", "; ".join([capabilities, *rest]))))
        )
    return "\n".join(lines)


def _lack(facts: dict[str, Any]) -> str:
    return f"not usable: {facts['missing']}"
