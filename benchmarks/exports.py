"""Every network in every format and precision: size, difference, agreement, time to export.

    python benchmarks/exports.py [--networks resnet18,vgg11] [--data NAME|FOLDER] [--epochs 2]
                                 [--light-epochs 10] [--embed] [--output docs/exports.md]

Each network is trained alike for a few epochs, on the embedded digits unless other data
are named, so that its answers are worth comparing: the recipes of their own are made for
longer trainings. Light networks learn less in an epoch, so they get more of them, and those
with batch normalisation a higher rate, which the plain ones do not take. Heavy ones are built as
for large images, which makes them light; where there is no such form, images start with half their
size. Whatever is right on less than three quarters of the validation images is trained again at a
third of the rate. Then each goes through `cnnreg export`'s own gate. Refused
exports are rows too. What is done already is kept in the folder of runs (--runs) and not done
again; a folder of what was made in another way is refused.
"""

from __future__ import annotations

import argparse
import functools
import json
import shlex
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cnnreg.data import DataConfig, data_config
from cnnreg.errors import GateError
from cnnreg.exporting.original import Original, load_original
from cnnreg.exporting.publishing import publish
from cnnreg.files import read_json, write_json, write_text
from cnnreg.machine.environment import environment
from cnnreg.networks.anatomy import count_macs
from cnnreg.networks.weightless import built_weightless
from cnnreg.planning import fix, plan
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry, load_registry
from cnnreg.run_data import data_of_run
from cnnreg.runs import Run, create_run, open_run
from cnnreg.specs import ExporterSpec, Interface, ModelContract, Precision, to_data
from cnnreg.training.trainer import run_training

HEADINGS = (
    "network", "format", "precision", "MB", "largest difference", "same top-1 %",
    "accuracy %", "seconds",
)  # fmt: skip

RECIPE = Recipe(
    optimizer="adamw",
    learning_rate=5e-4,
    batch_size=32,
    schedule="one-cycle",
    warmup=1.0,
    clip=1.0,
    compile="off",
)
"""Under which the deep plain networks learn too."""

LIGHT = 5e8  # MACs for an image of the data; networks below it are trained for longer
LIGHT_RATE = 3e-3
HEAVY = 1.9e9  # above it the form for large images, if there is one
ENOUGH = 0.75  # of the validation images right: below, it is trained again at a lower rate
MAX_MINUTES = 1.0  # for each of the slow ways to int8


def main() -> None:
    registry = load_registry()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", help="default: all")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--light-epochs", type=int, default=10)
    parser.add_argument("--embed", action="store_true")
    parser.add_argument("--runs", type=Path, default=Path("runs/exports"))
    parser.add_argument("--note", default="", help="a remark for the page")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    config = data_config(options.data, registry, downloads=options.data_dir)
    _settle(options)
    rows = []
    for name in options.networks.split(",") if options.networks else registry.architectures:
        original = functools.cache(functools.partial(_original, registry, name, config, options))
        for exporter in registry.exporters.specs:
            for precision in exporter.precisions:
                rows.append(_row(registry, name, original, exporter, precision, options))
                print(_line(rows[-1]), flush=True)
    if options.output:
        write_text(options.output, _page(rows, options))


def _settle(options: Namespace) -> None:
    """Ends the program if the folder holds what was made in another way, or does not say how."""
    made = {
        "data": options.data,
        "epochs": options.epochs,
        "light epochs": options.light_epochs,
        "recipe": to_data(RECIPE),
        "limits": [LIGHT, LIGHT_RATE, HEAVY, ENOUGH, MAX_MINUTES],
    }
    path = options.runs / "made.json"
    if not path.is_file() and not any(options.runs.glob("*/run.json")):
        options.runs.mkdir(parents=True, exist_ok=True)
        write_json(path, made)
    held = read_json(path) if path.is_file() else {}
    if differs := [name for name, own in made.items() if held.get(name) != own]:
        raise SystemExit(
            f"What {options.runs} holds was made with other {', '.join(differs)}; "
            "name another folder: --runs"
        )


def _original(registry: Registry, name: str, config: DataConfig, options: Namespace) -> Original:
    run = _trained(registry, name, config, options)
    return load_original(registry, run, data_of_run(registry, run))


def _trained(registry: Registry, name: str, config: DataConfig, options: Namespace) -> Run:
    run = _trained_at(registry, name, config, options, share=1)
    assert run.result
    if run.result["val_accuracy"] < ENOUGH:
        run = _trained_at(registry, name, config, options, share=1 / 3)
    return run


def _trained_at(
    registry: Registry, name: str, config: DataConfig, options: Namespace, *, share: float
) -> Run:
    """Trained at that share of the rate; if it was before, what is there."""
    folder = options.runs / (name if share == 1 else f"{name}-slower")
    if (folder / "result.json").is_file():
        return open_run(folder)
    planned, dataset = plan(registry, name, config, RECIPE)
    macs, normed = _anatomy(registry, planned.contract)
    changes: dict[str, Any] = {"epochs": options.epochs}
    if macs > HEAVY and registry.architectures[name].small_form:
        planned = fix(registry, name, config, dataset, RECIPE, form="standard")
        macs, normed = _anatomy(registry, planned.contract)
    if macs < LIGHT:
        changes["epochs"] = options.light_epochs
        if normed:
            changes["learning_rate"] = LIGHT_RATE
    if macs > HEAVY:
        changes["start_size"] = 0.5
    changes["learning_rate"] = share * changes.get("learning_rate", RECIPE.learning_rate)
    planned = replace(planned, recipe=replace(RECIPE, **changes).with_patience())
    exists = (folder / "run.json").is_file()
    run = open_run(folder) if exists else create_run(planned, folder=folder)
    for _ in run_training(registry, run, dataset):
        pass
    return run


def _anatomy(registry: Registry, contract: ModelContract) -> tuple[int, bool]:
    """Multiply-adds for an image, and whether there is batch normalisation."""
    spec = registry.architecture_of(contract)
    network = built_weightless(lambda: spec.build(contract.options()))
    normed = any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    return count_macs(network, contract.input_shape), normed


def _row(  # noqa: PLR0917
    registry: Registry,
    name: str,
    original: Callable[[], Original],
    exporter: ExporterSpec,
    precision: Precision,
    options: Namespace,
) -> tuple[str, ...]:
    """As HEADINGS says; of a refused export what the gate said."""
    start = (name, exporter.title, precision)
    interface = Interface(embed=options.embed)
    kept = options.runs / start[0] / f"row-{exporter.name}-{precision}{interface.suffix}.json"
    if kept.is_file():
        return tuple(json.loads(kept.read_text(encoding="utf-8")))
    try:
        result = publish(
            registry,
            original(),
            exporter,
            precision,
            interface=interface,
            max_minutes=MAX_MINUTES,
            fp16_instead=False,
        )
    except GateError as error:
        row = (*start, "-", "-", "-", f"refused: {error.what}", "-")
    else:
        parity = max(result.parity.values(), key=lambda found: found.largest_difference)
        row = (
            *start,
            f"{result.bytes / 1e6:.1f}",
            f"{parity.largest_difference:.1e}",
            f"{100 * min(found.agreement for found in result.parity.values()):.2f}",
            f"{100 * parity.original_accuracy:.2f} to {100 * parity.exported_accuracy:.2f}",
            f"{result.seconds:.1f}",
        )
    write_text(kept, json.dumps(row))
    return row


def _line(row: tuple[str, ...]) -> str:
    return f"| {' | '.join(row)} |"


def _page(rows: list[tuple[str, ...]], options: Namespace) -> str:
    machine = environment()
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    command = ["python", "benchmarks/exports.py", "--data", options.data]
    command += ["--epochs", str(options.epochs), "--light-epochs", str(options.light_epochs)]
    command += ["--embed"] if options.embed else []
    command += ["--networks", options.networks] if options.networks else []
    return "\n".join(
        [
            "# Every network, exported",
            "",
            f"`{shlex.join(command)}`: each trained for {options.epochs} epochs on {options.data} "
            f"({options.light_epochs} if an image takes it less than {LIGHT / 1e9:g} GMAC; those "
            f"above {HEAVY / 1e9:g} GMAC in their form for large images, if they have one), and "
            f"again at a third of the rate if it was right on less than {100 * ENOUGH:g} % of the "
            "validation images. Then compared on its validation images, with training images "
            "beside them up to 256 where those are fewer, in every engine that opens "
            "the file; the figures are those of the engine that differs most. Differences are in "
            "logits. Seconds are those of writing and comparing one file; each of the slow ways to "
            f"int8 had at most {MAX_MINUTES:g} min, where `cnnreg export` allows 10.",
            "",
            f"{sum(row[-1] != '-' for row in rows)} of {len(rows)} files passed the gate. "
            f"{options.note}".rstrip(),
            "",
            f"{machine['processor']}, {machine['cores']} cores ({', '.join(machine['isa'])}), "
            f"{machine['system']}; {versions}.",
            "",
            _line(HEADINGS),
            "|---|---|---|--:|--:|--:|--:|--:|",
            *map(_line, rows),
            "",
        ]
    )


if __name__ == "__main__":
    main()
