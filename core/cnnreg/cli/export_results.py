"""What came of an export, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent
from typing import Any

from cnnreg.engines import title_of
from cnnreg.errors import GateError, UsageError
from cnnreg.exporting.card import MODEL
from cnnreg.exporting.publishing import ExportResult
from cnnreg.registry import Registry
from cnnreg.specs import ExporterSpec, to_data
from cnnreg.texts import percent

from .common import console, human_bytes
from .export_target import Job


def joint_refusal(refused: Sequence[GateError | UsageError], files: int) -> GateError | UsageError:
    """Several refusals as one error."""
    said = " ".join(dict.fromkeys(error.what for error in refused))
    hints = dict.fromkeys(error.hint for error in refused if error.hint)
    places = dict.fromkeys(error.where for error in refused if error.where)
    kind = GateError if any(isinstance(error, GateError) for error in refused) else UsageError
    return kind(
        f"{len(refused)} of {files} files: {said}",
        where=", ".join(places) or None,
        hint=" ".join(hints),
    )


def as_data(results: Sequence[tuple[Job, ExportResult]]) -> list[dict[str, Any]]:
    targets = [{"target": job.target} if job.target else {} for job, _ in results]
    return [to_data(own) | target for (_, own), target in zip(results, targets, strict=True)]


def show(registry: Registry, exporter: ExporterSpec, result: ExportResult) -> None:
    """What was published, and the proof in one line for each runtime."""
    from rich.markup import escape

    out = console()
    out.print(
        f"[green]✓[/] [bold]{exporter.title} {result.precision}[/]  "
        f"{human_bytes(result.bytes)}, {result.seconds:.1f} s  {escape(str(result.folder))}",
        soft_wrap=True,
    )
    for name, parity in result.parity.items():
        on = "" if parity.judged == parity.images else f" on {parity.judged} of them"
        out.print(
            f"    {title_of(registry, name)}: same top-1 on {percent(parity.agreement)} of "
            f"{parity.images} images, accuracy {percent(parity.original_accuracy)} -> "
            f"{percent(parity.exported_accuracy)}{on}, logits within "
            f"{parity.largest_difference:.1e}",
            soft_wrap=True,
        )
        if lost := parity.worst_class:
            out.print(
                f"      of the classes, {escape(lost.name)} lost most: {percent(lost.before)} -> "
                f"{percent(lost.after)} of its {lost.images:,} images",
                soft_wrap=True,
            )
    if result.quantised:
        out.print(f"    {escape(str(result.quantised))}", soft_wrap=True)
    if served := result.served:
        what = "version" if served.new else "unchanged, still version"
        out.print(
            f"    Served as [bold]{escape(served.model)}[/], {what} {served.version}: "
            f"{escape(str(served.folder / 'README.md'))} says how",
            soft_wrap=True,
        )
        return
    example, interface = exporter.example, result.interface
    if example and interface.embed and not interface.fixed:  # it feeds pictures of any size
        out.print("    Anywhere, without cnnreg:\n")
        code = example.replace(MODEL, repr(str(result.model)))
        out.print(indent(code, "      "), markup=False, highlight=False, soft_wrap=True)
