"""From a run's folder to a trained model: prepare, train, save, and close."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from pluggy import HookCaller

from cnnreg.data import Dataset
from cnnreg.discovery import own_name
from cnnreg.files import sole_writer
from cnnreg.machine.awake import awake
from cnnreg.plugins import notify_one
from cnnreg.registry import Registry
from cnnreg.runs import Run
from cnnreg.specs import EpochRecord, RunInfo

from .building import choose_device, refuse_unshareable
from .closing import finish
from .determinism import deterministic
from .distributed.world import ALONE, World
from .feeding.splits import judging_batches
from .loop import train
from .preparing import prepared
from .saving.progress import Progress
from .saving.state import streams_kept
from .settings import settings_kept
from .speed.memory import keep_freed_memory
from .stopping import StopRequest


def run_training(
    registry: Registry,
    run: Run,
    dataset: Dataset,
    *,
    device: str = "auto",
    world: World = ALONE,
    held: bool = False,
    on_step: Callable[[Progress], None] = lambda progress: None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[EpochRecord]:
    """Train `run` from its last checkpoint, or from the start, yielding each finished epoch.

    When training ends the best weights are measured on the test split, which
    nothing before has looked at, and result.json, the report and its pictures are written.
    `held`: the caller is the run's `sole_writer`, so that this need not become it.
    """
    contract, target = run.config.contract, choose_device(device, world)
    refuse_unshareable(run.config.recipe, dataset, world)
    keep_freed_memory()
    architecture = registry.architecture_of(contract)
    hooks = registry.manager.hook
    alone = sole_writer(run.folder) if world.writes and not held else nullcontext()
    with alone, awake(), deterministic(target), StopRequest() as stop:
        made = prepared(registry, run, dataset, device=target, world=world, stop=stop, note=note)
        saver, progress = made.saver, made.saver.progress
        run, recipe = saver.run, saver.run.config.recipe
        loggers = _as_called_here(run.config.loggers, hooks.cnnreg_epoch_finished)
        info = RunInfo(folder=run.folder, contract=contract, recipe=recipe, loggers=loggers)

        def after_step(progress: Progress) -> None:
            on_step(progress)
            saver.save_if_due()

        with saver.under_way(dataset):
            for record in train(
                made.step,
                made.batches,
                validation=lambda: judging_batches(dataset.val, contract, recipe, world),
                recipe=recipe,
                progress=progress,
                body=made.body,
                on_step=after_step,
                on_stop=saver.save,
                stop=stop,
            ):
                saver.save_epoch(record)
                if world.writes:
                    _tell(hooks.cnnreg_epoch_finished, note, info, record=record)
                yield record
            saver.stand_in(note)
            if world.writes:
                finish(run, dataset, architecture, progress, device=target, stop=stop, note=note)
                _tell(hooks.cnnreg_training_finished, note, info, result=run.result)


def _as_called_here(loggers: Iterable[str], hook: HookCaller) -> tuple[str, ...]:
    """What a run asked for, by the names that the plugins have where it goes on.

    One's name has its package in it only while another of that name is installed.
    """
    here = [implementation.plugin_name for implementation in hook.get_hookimpls()]

    def called(logger: str) -> str:
        alike = [name for name in here if own_name(name) == own_name(logger)]
        return alike[0] if logger not in here and len(alike) == 1 else logger

    return tuple(map(called, loggers))


def _tell(hook: HookCaller, note: Callable[[str], None], run: RunInfo, **arguments: Any) -> None:
    """Call an observer hook. What it draws at random, or sets, changes nothing in the training."""
    with streams_kept(), settings_kept():
        for implementation in reversed(hook.get_hookimpls()):
            name = implementation.plugin_name
            # One of two plugins of a name was asked for by a longer one, which it does not know.
            named = (*run.loggers, own_name(name)) if name in run.loggers else run.loggers
            notify_one(hook, implementation, note, run=replace(run, loggers=named), **arguments)
