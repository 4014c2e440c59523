"""From a run's folder to a trained model: wire network, data and optimizer, save, go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

import torch
from pluggy import HookCaller
from torch import nn

from cnnreg.data import Dataset
from cnnreg.errors import MachineError
from cnnreg.files import sole_writer
from cnnreg.machine.awake import awake
from cnnreg.plugins import blaming, notify
from cnnreg.recipe import Recipe, recipe_from_data
from cnnreg.registry import Registry
from cnnreg.runs import Run
from cnnreg.specs import ArchitectureSpec, EpochRecord, ModelOptions, RunInfo

from .building import build_model, build_optimizer, choose_device, memory_format, refuse_unshareable
from .closing import finish
from .determinism import deterministic
from .distributed.sync_norm import synchronised
from .distributed.world import ALONE, World
from .feeding.resizing import check_sizes
from .feeding.splits import class_weights, judging_batches, training_batches
from .groups import body_of, head_of
from .loop import stopped, train
from .saving.progress import Progress
from .saving.resuming import go_on, has_begun, made_with
from .saving.saver import Saver
from .saving.state import part_streams, seed_streams, streams_kept
from .settings import settings_kept
from .speed.memory import keep_freed_memory
from .speed.probe import can_compile, settle
from .start import start_from
from .step import Step, Trainee, averaged, title
from .stopping import StopRequest


def run_training(
    registry: Registry,
    run: Run,
    dataset: Dataset,
    *,
    device: str = "auto",
    world: World = ALONE,
    on_step: Callable[[Progress], None] = lambda progress: None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[EpochRecord]:
    """Train `run` from its last checkpoint, or from the start, yielding each finished epoch.

    When training ends the best weights are measured on the test split, which
    nothing before has looked at, and result.json, the report and its pictures are written.
    """
    contract, target = run.config.contract, choose_device(device, world)
    refuse_unshareable(run.config.recipe, dataset, world)
    keep_freed_memory()
    entry = registry.entry_of(contract)
    architecture, options = entry.spec, contract.options()
    alone = sole_writer(run.folder) if world.writes else nullcontext()
    with alone, awake(), deterministic(target), StopRequest() as stop:
        begun = has_begun(run, world)
        seed_streams(run.config.recipe.seed)
        model = build_model(architecture, options)
        check_sizes(model, run.config.recipe, contract.input_shape)
        demanded = run.config.recipe.compile == "on" and not begun
        recipe = _settled(
            run, model, architecture, dataset, device=target, world=world, stop=stop, note=note
        )
        recipe = _compilable(recipe, world, demanded=demanded, note=note)
        run = run.changed(recipe=recipe)
        if run.config.weights and world.writes and not begun:
            note(start_from(run.config.weights, architecture, model))
        head = _head(architecture, options, recipe)
        trainee = _trainee(registry, model, recipe, head, device=target, world=world)
        body = body_of(trainee.model, head)
        part_streams(recipe.seed, world)
        batches = training_batches(dataset, contract, recipe, world)
        facts = made_with(run, batches, dataset.val, entry.plugin.package, target)
        progress = Progress()
        if begun:
            run, progress = go_on(run, trainee, batches, facts=facts, world=world, note=note)
        saver = Saver(run, trainee, progress, made_with=facts, world=world)

        def after_step(progress: Progress) -> None:
            on_step(progress)
            saver.save_if_due()

        hooks = registry.manager.hook
        info = RunInfo(
            folder=run.folder, contract=contract, recipe=recipe, loggers=run.config.loggers
        )
        step = Step(
            trainee,
            recipe,
            name=architecture.name,
            device=target,
            world=world,
            input_shape=contract.input_shape,
            aux_weight=architecture.aux_weight,
            class_weights=class_weights(dataset, recipe),
        )
        with saver.under_way(dataset):
            for record in train(
                step,
                batches,
                validation=lambda: judging_batches(dataset.val, contract, recipe, world),
                recipe=recipe,
                progress=progress,
                body=body,
                on_step=after_step,
                on_stop=saver.save,
                stop=stop,
            ):
                saver.save_epoch(record)
                if world.writes:
                    _tell(hooks.cnnreg_epoch_finished, note, run=info, record=record)
                yield record
            saver.stand_in(note)
            if world.writes:
                finish(run, dataset, architecture, progress, device=target, stop=stop, note=note)
                _tell(hooks.cnnreg_training_finished, note, run=info, result=run.result)


def _tell(hook: HookCaller, note: Callable[[str], None], **arguments: Any) -> None:
    """Call an observer hook. What it draws at random, or sets, changes nothing in the training."""
    with streams_kept(), settings_kept():
        notify(hook, note, **arguments)


def _settled(
    run: Run,
    model: nn.Module,
    architecture: ArchitectureSpec,
    dataset: Dataset,
    *,
    device: torch.device,
    world: World,
    stop: StopRequest,
    note: Callable[[str], None],
) -> Recipe:
    """With what was measured to be fastest where the first process runs, for all of them."""
    recipe, contract = run.config.recipe, run.config.contract
    if world.writes:
        with blaming(title(architecture.name, recipe)):
            recipe = settle(
                model,
                recipe,
                lambda recipe: training_batches(dataset, contract, recipe),
                aux_weight=architecture.aux_weight,
                contract=contract,
                device=device,
                processes=world.size,
                stop=stop,
                note=note,
            )
    if world.size > 1:
        recipe = recipe_from_data(json.loads(world.from_first(json.dumps(asdict(recipe)).encode())))
    if stop.asked_anywhere(world):
        raise stopped("before the first step", stop)
    return recipe


def _compilable(
    recipe: Recipe, world: World, *, demanded: bool, note: Callable[[str], None]
) -> Recipe:
    """Compiled only where all processes can. Raises MachineError if that was `demanded`."""
    if recipe.compile != "on" or not world.any(not can_compile()):
        return recipe
    if demanded:
        raise MachineError(
            "torch.compile does not work here: it needs a C++ compiler.",
            hint="Install one (g++, clang or MSVC), or leave --compile away.",
        )
    note("torch.compile does not work here any more: going on without it")
    return replace(recipe, compile="off")


def _head(architecture: ArchitectureSpec, options: ModelOptions, recipe: Recipe) -> frozenset[str]:
    """The head's parameters; none where the recipe treats it as the rest of the network."""
    if not recipe.freeze and recipe.body_rate == 1:
        return frozenset()
    with blaming(f"Building '{architecture.name}'"):
        return head_of(architecture, options)


def _trainee(
    registry: Registry,
    model: nn.Module,
    recipe: Recipe,
    head: frozenset[str],
    *,
    device: torch.device,
    world: World,
) -> Trainee:
    """The network where it is trained, the same in all processes, with its optimizer."""
    model.to(device, memory_format=memory_format(recipe))  # type: ignore[call-overload]
    model = synchronised(model, world)
    world.copy_from_first([*model.parameters(), *model.buffers()])
    optimizer = build_optimizer(registry, model, recipe, head)
    return Trainee(model, optimizer, averaged(model, recipe.ema))
