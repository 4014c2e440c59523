"""A run's folder: what was asked, what happened, and what came of it.

runs/20261123-154210-resnet18-digits/
    run.json            network, recipe, data, environment
    metrics.jsonl       one line an epoch
    curves.png          loss and accuracy over the epochs; each picture is there as .svg too
    best.safetensors    the weights of the best validation accuracy
    last.safetensors    everything that going on needs
    last.previous...    the one before, should the last be damaged; until training ends
    last.damaged...     a last one that could not be read, put aside
    failure.json        what ended it before its time, if something did
    images.jsonl        which images were in which split, where they are files
    result.json         the outcome, written when training ends
    report.json         the test split class by class, and the most confident mistakes
    confusion.png, classes.png, mistakes.png    the same as pictures
    summary.txt, .json  the network's stages and cost
    bench.json, .png    what `cnnreg bench` measured
    exports/            one folder for each published format and precision

An imported run has run.json, best.safetensors and the summary alone; run.json says from
which file, and without data its data's name is empty.
"""

from __future__ import annotations

from .config import PRETRAINED, RunConfig, config_to_data, now
from .failure import recorded_failure
from .metrics import read_metrics, write_metrics
from .opening import (
    DEFAULT_ROOT,
    create_run,
    find_run,
    is_run,
    list_runs,
    no_run,
    open_run,
    placed,
    run_around,
    run_from_data,
)
from .result import write_result
from .run import OF_THE_END, Run

__all__ = [
    "DEFAULT_ROOT",
    "OF_THE_END",
    "PRETRAINED",
    "Run",
    "RunConfig",
    "config_to_data",
    "create_run",
    "find_run",
    "is_run",
    "list_runs",
    "no_run",
    "now",
    "open_run",
    "placed",
    "read_metrics",
    "recorded_failure",
    "run_around",
    "run_from_data",
    "write_metrics",
    "write_result",
]
