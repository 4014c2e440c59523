"""`cnnreg list`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from cnnreg.errors import UnknownNameError
from cnnreg.registry import KINDS, Entry
from cnnreg.specs import ArchitectureSpec, RuntimeSpec, to_data
from cnnreg.texts import matches

from .common import get_registry, human_count, json_option, print_columns, print_json, shape_text


@click.command()
@click.argument("pattern", required=False)
@click.option("--kind", type=click.Choice(KINDS), default="architectures", show_default=True)
@json_option
def command(pattern: str | None, kind: str, as_json: bool) -> None:
    """Show what the registry holds. PATTERN is a part of a name, or uses * and ?."""
    catalog = get_registry().catalogs()[kind]
    entries = [e for e in catalog.entries if pattern is None or _matches(e, pattern)]
    if kind == "architectures":
        entries.sort(key=lambda entry: (entry.spec.family, entry.spec.parameters))
    if not entries and pattern is not None:
        raise UnknownNameError(catalog.kind, pattern, catalog)
    if as_json:
        print_json([{**spec_data(e.spec), "plugin": e.plugin.name} for e in entries])
        return
    _print_table(kind, entries, catalog.conflicts())


def spec_data(spec: Any) -> dict[str, Any]:
    """As JSON; of a network also whether there are published weights, and for which images."""
    data: dict[str, Any] = to_data(spec)
    if isinstance(spec, RuntimeSpec):  # what it can do, not the functions that do it
        return {**data, "metadata": spec.metadata is not None, "details": spec.details is not None}
    if not isinstance(spec, ArchitectureSpec):
        return data
    published = spec.pretrained is not None
    images = {} if published else {"pretrained_mean": None, "pretrained_std": None}
    return {**data, **images, "pretrained": published}


def _matches(entry: Entry[Any], pattern: str) -> bool:
    texts = (entry.spec.name, getattr(entry.spec, "family", ""), *getattr(entry.spec, "tags", ()))
    return matches(pattern, *texts)


def _print_table(kind: str, entries: Iterable[Entry[Any]], conflicts: frozenset[str]) -> None:
    columns, row = _LAYOUTS[kind]
    rows = []
    for entry in entries:
        conflict = entry.spec.name in conflicts
        name = f"{entry.qualified} (conflict)" if conflict else entry.spec.name
        rows.append((name, *row(entry)))
    print_columns(columns, rows)


def _architecture(entry: Entry[Any]) -> tuple[str, ...]:
    spec = entry.spec
    return (
        spec.family,
        human_count(spec.parameters),
        human_count(spec.macs),
        shape_text(spec.input_shape),
        str(spec.paper.year),
        spec.summary,
    )


def _dataset(entry: Entry[Any]) -> tuple[str, ...]:
    spec = entry.spec
    shape = shape_text(spec.image_shape) if spec.image_shape else "any"
    where = "embedded" if spec.embedded else "local" if not spec.url else "download"
    return str(spec.num_classes or "any"), shape, where, spec.summary


def _summary(entry: Entry[Any]) -> tuple[str, ...]:
    return (entry.spec.summary,)


def _optimizer(entry: Entry[Any]) -> tuple[str, ...]:
    return f"{entry.spec.learning_rate:g}", entry.spec.summary


def _exporter(entry: Entry[Any]) -> tuple[str, ...]:
    return ", ".join(entry.spec.precisions), entry.spec.summary


def _runtime(entry: Entry[Any]) -> tuple[str, ...]:
    return entry.spec.title, ", ".join(entry.spec.formats)


_LAYOUTS = {
    "architectures": (
        ("name", "family", ">parameters", ">MACs", "input", "year", "what it is"),
        _architecture,
    ),
    "datasets": (("name", ">classes", "images", "where", "what it is"), _dataset),
    "optimizers": (("name", ">usual rate", "what it is"), _optimizer),
    "recipes": (("name", "what it is"), _summary),
    "formats": (("name", "precisions", "what it is"), _exporter),
    "runtimes": (("name", "title", "opens"), _runtime),
}
