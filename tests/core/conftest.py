"""What the tests of exporting share: a trained run, and a toy format to export it in."""

from __future__ import annotations

import dataclasses

import pytest

from cnnreg.exporting.original import load_original
from cnnreg.registry import Catalog, Entry
from cnnreg.run_data import data_of_run
from cnnreg.specs import RuntimeSpec
from helpers import make_run, train
from toy_format import EXPORTER, Answering


@pytest.fixture(scope="module")
def original(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=3)
    train(registry, run)
    return load_original(registry, run, data_of_run(registry, run))


@pytest.fixture
def toy(registry, original):
    """The registry with one format, run by an engine that changes the logits as told."""

    def make(change=lambda logits: logits, engines=1, exporter=EXPORTER):
        plugin = registry.plugins[0]
        runtimes = [
            RuntimeSpec(
                name=f"engine{number}",
                title=f"Engine {number}",
                formats=("toy",),
                open=lambda model, options, number=number: Answering(
                    original.logits, change if number == engines - 1 else lambda same: same
                ),
                devices=dict,
            )
            for number in range(engines)
        ]
        changed = dataclasses.replace(
            registry, runtimes=Catalog("runtime", [Entry(spec, plugin) for spec in runtimes])
        )
        return changed, exporter

    return make
