"""A run's network on one page: its stages, parameters and multiply-accumulates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from cnnreg.files import write_json, write_text
from cnnreg.specs import ModelContract, to_data
from cnnreg.texts import aligned

from .anatomy import Stage, count_macs, count_parameters, stages

TITLES = ("stage", "layer", "kernel", ">stride", ">blocks", ">output", ">parameters", ">MACs")
"""Of `aligned`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    architecture: str
    plugin: str
    form: str
    input_shape: tuple[int, int, int]
    num_classes: int
    parameters: int
    macs: int  # of one image
    stages: tuple[Stage, ...]


def summarise(model: nn.Module, contract: ModelContract) -> Summary:
    """For this run's form, image size and classes, not the paper's."""
    return Summary(
        architecture=contract.architecture,
        plugin=contract.plugin,
        form=contract.form,
        input_shape=contract.input_shape,
        num_classes=contract.num_classes,
        parameters=count_parameters(model),
        macs=count_macs(model, contract.input_shape),
        stages=tuple(stages(model, contract.input_shape)),
    )


def write_summary(folder: Path, model: nn.Module, contract: ModelContract) -> None:
    """summary.json, and summary.txt for human eyes."""
    summary = summarise(model, contract)
    write_json(folder / "summary.json", to_data(summary))
    write_text(folder / "summary.txt", as_text(summary))


def as_text(summary: Summary) -> str:
    size = "x".join(map(str, summary.input_shape))
    head = (
        f"{summary.architecture} ({summary.plugin}), {summary.form} form, "
        f"input {size}, {summary.num_classes} classes"
    )
    total = ("total", "", "", "", "", "", f"{summary.parameters:,}", f"{summary.macs:,}")
    table = aligned(TITLES, [*map(stage_row, summary.stages), total])
    lines = ["  ".join(cells).rstrip() for cells in table]
    rule = "-" * max(map(len, lines))
    lines[-1:-1] = lines[1:1] = [rule]
    return "\n".join([head, "", *lines, ""])


def stage_row(stage: Stage) -> tuple[str, ...]:
    """One cell for each of TITLES."""
    return (
        stage.name,
        stage.layer,
        stage.kernel,
        str(stage.stride),
        str(stage.blocks),
        stage.size,
        f"{stage.parameters:,}",
        f"{stage.macs:,}",
    )
