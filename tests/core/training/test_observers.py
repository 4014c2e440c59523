"""Observers are told of each epoch and of the end, and change nothing in the training."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pluggy
import pytest
import torch

from cnnreg import hookimpl, hookspecs
from cnnreg.discovery import own_name
from helpers import make_run, state_of, train

pytestmark = pytest.mark.usefixtures("one_thread")


def test_an_epoch_is_reported_to_observers(registry, tmp_path):
    seen = []

    class Logger:
        @hookimpl
        def cnnreg_epoch_finished(self, run, record):
            seen.append((run.folder, record.epoch))

        @hookimpl
        def cnnreg_training_finished(self, run, result):
            seen.append((run.folder, result["test_accuracy"]))

    registry.manager.register(logger := Logger())
    try:
        run = make_run(registry, tmp_path / "run")
        train(registry, run)
    finally:
        registry.manager.unregister(logger)
    assert seen == [(run.folder, 1), (run.folder, 2), (run.folder, run.result["test_accuracy"])]


def test_an_observer_that_draws_and_sets_changes_no_weight(registry, tmp_path):
    class Logger:
        @hookimpl
        def cnnreg_epoch_finished(self, run, record):
            torch.rand(3)
            torch.set_default_dtype(torch.float64)
            os.chdir(tmp_path)

    settings = {"architecture": "simple_cnn", "epochs": 2}  # whose dropout draws, too
    alone = make_run(registry, tmp_path / "alone", **settings)
    train(registry, alone)
    folder = Path.cwd()
    registry.manager.register(logger := Logger())
    try:
        watched = make_run(registry, tmp_path / "watched", **settings)
        train(registry, watched)
        assert (Path.cwd(), torch.get_default_dtype()) == (folder, torch.float32)
    finally:
        registry.manager.unregister(logger)
    assert state_of(watched) == state_of(alone)


@pytest.mark.parametrize(
    ("asked", "installed", "told"),
    [
        ("b:log", ["a:log", "b:log"], ["b:log"]),
        ("b:log", ["log", "other"], ["log"]),  # the other of that name is gone
        ("b:log=module", ["b:log", "c:other"], ["b:log"]),
        ("b:log", ["a:log", "c:log"], []),  # nobody knows which
    ],
)
def test_a_logger_knows_itself_by_its_own_name(registry, tmp_path, asked, installed, told):
    """Where two are called alike users ask for one by a longer name."""
    heard = []

    class Logger:
        def __init__(self, name):
            self.name = name

        @hookimpl
        def cnnreg_epoch_finished(self, run):
            if own_name(self.name) in run.loggers:
                heard.append(self.name)

    manager = pluggy.PluginManager("cnnreg")
    manager.add_hookspecs(hookspecs)
    for name in installed:
        manager.register(Logger(name), name)
    run = make_run(registry, tmp_path / "run", epochs=1)
    run = run.changed(loggers=(asked,))
    train(dataclasses.replace(registry, manager=manager), run)
    assert heard == told
