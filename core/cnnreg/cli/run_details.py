"""What `cnnreg runs show` gathers about one run, and how it is printed."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnreg.errors import CnnregError
from cnnreg.registry import Registry
from cnnreg.runs import PRETRAINED, Run, read_metrics
from cnnreg.runs.failure import failure_told
from cnnreg.runs.overview import changes, overview, usual_recipe
from cnnreg.runs.report import Report, read_report
from cnnreg.runs.weights import is_outdated
from cnnreg.specs import to_data
from cnnreg.texts import percent

from .common import (
    console,
    human_bytes,
    human_time,
    print_columns,
    say,
    shape_text,
    show_time,
)

CONFUSIONS = 10  # pairs that are told
LISTED = 30  # classes that are printed; the JSON has all

OF_TRAINING = ("recipe", "computed in", "epochs", "time", "validation", "test")

FILES = {
    "run.json": "what was asked",
    "metrics.jsonl": "a line an epoch",
    "best.safetensors": "the best weights",
    "last.safetensors": "what going on needs",
    "failure.json": "what ended it",
    "result.json": "the outcome",
    "report.json": "the test split, class by class",
    "curves.png": "loss and accuracy over the epochs",
    "confusion.png": "what was taken for what",
    "classes.png": "the accuracy of each class",
    "mistakes.png": "the most confident mistakes",
    "summary.txt": "the network's stages and cost",
    "bench.png": "times",
}


def details(registry: Registry, run: Run) -> dict[str, Any]:
    """JSON-ready. What is damaged is named in a note and left out."""
    config = run.config
    differing = changes(config.recipe, usual_recipe(registry, run))
    report = _report(run)
    at_a_glance = overview(run.folder)
    damaged = at_a_glance.state == "damaged"
    return {
        **to_data(at_a_glance),
        "folder": str(run.folder),
        "contract": to_data(config.contract),
        "recipe": to_data(config.recipe),
        "changed": {name: {"is": own, "usual": usual} for name, (own, usual) in differing.items()},
        "weights": config.weights,
        "changes": to_data(config.changes),
        "failure": failure_told(run.folder),
        "data_config": to_data(config.data),
        "environment": config.environment,
        "result": None if damaged else run.result,
        "history": [] if damaged else to_data(read_metrics(run.folder)),
        "report": to_data(replace(report, mistakes=report.mistakes[:10])) if report else None,
        "confusions": to_data(report.confusions(CONFUSIONS)) if report else [],
        "outdated_exports": [
            name for name in at_a_glance.exports if is_outdated(run.exports / name)
        ],
        "files": [{"name": name, "bytes": size} for name, size in _files(run.folder)],
    }


def _files(folder: Path) -> list[tuple[str, int]]:
    """By name, with their bytes: not what a command is writing at this moment, or left behind."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            with suppress(OSError):  # gone meanwhile
                if not name.startswith("."):
                    found.append((path.relative_to(folder).as_posix(), path.stat().st_size))
    return sorted(found)


def _report(run: Run) -> Report | None:
    if not run.report.exists():
        return None
    try:
        return read_report(run.report)
    except CnnregError as error:
        say(str(error))
        return None


def print_details(run: Run, found: dict[str, Any]) -> None:
    _print_facts(run, found)
    out = console()
    if report := found["report"]:
        out.print("\n[bold]classes[/]")
        _print_classes(report["classes"])
    if found["confusions"]:
        out.print("\n[bold]mixed up most often[/]")
        for pair in found["confusions"]:
            out.print(
                f"  {pair['true']} taken for {pair['predicted']}, {_times(pair['images'])} "
                f"of {pair['support']:,}",
                markup=False,
            )
    out.print(f"\n[bold]files[/] in {_escaped(str(run.folder.absolute()))}", soft_wrap=True)
    sizes = {file["name"]: file["bytes"] for file in found["files"]}
    rows = [(name, human_bytes(sizes[name]), what) for name, what in FILES.items() if name in sizes]
    for name in found["exports"]:
        size = sum(bytes_ for file, bytes_ in sizes.items() if file.startswith(f"exports/{name}/"))
        outdated = name in found["outdated_exports"]
        told = "an export of older weights" if outdated else "an export, proven equal"
        rows.append((f"exports/{name}", human_bytes(size), told))
    print_columns(("name", ">size", "what it is"), rows)


def _print_facts(run: Run, found: dict[str, Any]) -> None:
    from rich.table import Table

    config, environment = run.config, run.config.environment
    contract = config.contract
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    changed = [f"{name} {pair['is']} ({pair['usual']})" for name, pair in found["changed"].items()]
    versions = environment.get("versions", {})
    rows = [
        ("state", f"{found['state']} {found['detail']}"),
        ("ended by", found["failure"]),
        ("started", show_time(config.created)),
        ("from", _source(found["weights"])),
        ("network", f"{contract.architecture}, {contract.form} form ({contract.plugin})"),
        (
            "data",
            f"{config.data.folder or contract.dataset or 'none'}, {contract.num_classes} classes, "
            f"images {shape_text(contract.input_shape)} ({contract.resize})",
        ),
        ("recipe", f"as usual but {', '.join(changed)}" if changed else "the network's own"),
        ("computed in", ", ".join(found["recipe"][name] for name in ("precision", "layout"))),
        ("epochs", f"{found['epochs']} of {found['planned_epochs']}, {_best(found)}"),
        ("gone on", "\n".join(map(_change, found["changes"]))),
        ("time", human_time(found["seconds"])),
        ("validation", percent(found["val_accuracy"])),
        ("test", percent(found["test_accuracy"])),
        ("exports", ", ".join(found["exports"]) or "none"),
        ("machine", f"{environment.get('processor')}, {environment.get('cores')} cores"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    if source := config.imported:
        rows = [row for row in rows if row[0] not in OF_TRAINING]
        rows.insert(1, ("sha256", f"{source['sha256']} of {source['file']}"))
    for label, text in rows:
        if text:
            facts.add_row(label, _escaped(text.strip()))
    out = console()
    out.print(f"[bold]{_escaped(run.name)}[/]\n")
    out.print(facts)


def _source(weights: str) -> str:
    if weights == PRETRAINED:
        return "published weights"
    return f"the weights of {weights}" if weights else ""


def _best(found: dict[str, Any]) -> str:
    return f"best {found['best_epoch']}" if found["best_epoch"] else "none the best so far"


def _change(change: dict[str, Any]) -> str:
    """Where a training went on otherwise than it had begun, and how."""
    return f"after epoch {change['epoch']}, step {change['step']}: {'; '.join(change['what'])}"


def _print_classes(classes: list[dict[str, Any]]) -> None:
    worst = sorted(classes, key=lambda item: (item["accuracy"] is None, item["accuracy"]))
    rows = [
        (
            item["name"],
            percent(item["accuracy"]),
            percent(item["precision"]),
            f"{item['support']:,}",
        )
        for item in worst[:LISTED]
    ]
    print_columns(("class", ">accuracy", ">precision", ">images"), rows)
    if len(worst) > LISTED:
        console().print(f"and {len(worst) - LISTED} better ones; --json shows all", style="dim")


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count:,} times"


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
