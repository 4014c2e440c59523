"""From a run's folder to a trained model: wire network, data and optimizer, save, go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import torch
from torch import Tensor, nn

from cnnreg.data import Dataset, Split
from cnnreg.errors import (
    DataError,
    DivergedError,
    MachineError,
    PluginError,
    UsageError,
)
from cnnreg.files import disk_errors, sole_writer, sweep_temporaries
from cnnreg.plugins import blaming, notify, one_line
from cnnreg.recipe import Recipe, recipe_from_data
from cnnreg.registry import Registry
from cnnreg.runs import Run, recorded_failure
from cnnreg.specs import ArchitectureSpec, EpochRecord, ModelContract, ModelOptions, RunInfo

from .batches import Batch, Normalise, TrainingBatches, evaluation_batches
from .checkpoint import load_weights, read_checkpoint
from .closing import examine, show_what_came_of_it
from .determinism import deterministic
from .distributed import ALONE, World
from .groups import head_of, parameter_groups
from .loop import train
from .progress import Progress
from .resuming import go_on, made_with
from .saver import Saver
from .speed import check_compiler, settle
from .start import start_from
from .state import part_streams, seed_streams
from .step import Step, Trainee, averaged, balanced_weights
from .stopping import StopRequest
from .sync_norm import synchronised


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
    entry = registry.entry_of(contract)
    architecture = entry.spec
    with _sole_writer(run, dataset, world), deterministic(target), StopRequest() as stop:
        seed_streams(run.config.recipe.seed)
        model = build_model(architecture, contract.options())
        recipe = run.config.recipe
        if world.writes:
            recipe = settle(
                model,
                recipe,
                lambda recipe: training_batches(dataset, contract, recipe),
                aux_weight=architecture.aux_weight,
                contract=contract,
                device=target,
                note=note,
            )
        recipe = _of_first(recipe, world)
        check_compiler(recipe)
        run = run.settled(recipe, write=world.writes)
        begun = world.any(world.writes and (run.last.exists() or run.previous.exists()))
        if run.config.weights and world.writes and not begun:
            note(start_from(run.config.weights, architecture, model))
        model.to(target, memory_format=memory_format(recipe))  # type: ignore[call-overload]
        model = synchronised(model, world)
        world.copy_from_first([*model.parameters(), *model.buffers()])
        head = head_of(architecture, contract.options())
        with blaming(f"Optimizer '{recipe.optimizer}'"):
            optimizer = registry.optimizers[recipe.optimizer].build(
                parameter_groups(model, recipe, head), recipe
            )
        trainee = Trainee(model, optimizer, averaged(model, recipe.ema))
        part_streams(recipe.seed, world)
        batches = training_batches(dataset, contract, recipe, world)
        facts = made_with(run, batches, entry.plugin.package, target)
        progress = Progress()
        if begun:
            run, progress = go_on(run, trainee, batches, facts=facts, world=world, note=note)
        saver = Saver(run, trainee, progress, made_with=facts, world=world)
        saver.begin()

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
            device=target,
            world=world,
            aux_weight=architecture.aux_weight,
            class_weights=_class_weights(dataset, recipe),
        )
        for record in train(
            step,
            batches,
            validation=lambda: _evaluation_batches(dataset.val, contract, recipe, world),
            recipe=recipe,
            progress=progress,
            head=head,
            on_step=after_step,
            on_stop=saver.save,
            stop=stop,
        ):
            saver.save_epoch(record)
            if world.writes:
                notify(hooks.cnnreg_epoch_finished, note, run=info, record=record)
            yield record
        if world.writes:
            _finish(run, dataset, model, progress, device=target, stop=stop, note=note)
            notify(hooks.cnnreg_training_finished, note, run=info, result=run.result)


def memory_format(recipe: Recipe) -> torch.memory_format:
    contiguous = recipe.layout == "contiguous"
    return torch.contiguous_format if contiguous else torch.channels_last


def training_batches(
    dataset: Dataset, contract: ModelContract, recipe: Recipe, world: World = ALONE
) -> TrainingBatches:
    return TrainingBatches(
        dataset.train.pixels,
        dataset.train.labels,
        recipe=recipe,
        augment=dataset.augment if recipe.augment == "auto" else recipe.augment,
        normalise=_normalise(contract, recipe),
        world=world,
    )


def build_model(architecture: ArchitectureSpec, options: ModelOptions) -> nn.Module:
    """Build and try the network on two images. Raises PluginError if it breaks its promise."""
    with blaming(f"Building '{architecture.name}'"):
        model = architecture.build(options)
    if not isinstance(model, nn.Module):
        raise PluginError(f"'{architecture.name}' built {type(model).__name__}, not an nn.Module.")
    expected = (2, options.num_classes)
    height, width = options.input_shape[1:]
    with torch.inference_mode(), blaming(f"'{architecture.name}' on images of {height}x{width}"):
        output = model.eval()(torch.zeros(2, *options.input_shape))
    shape = tuple(getattr(output, "shape", ()))
    if shape != expected:
        raise PluginError(f"'{architecture.name}' returned {shape}, expected {expected}.")
    return model


def choose_device(name: str, world: World = ALONE) -> torch.device:
    """A GPU each for several processes. Raises MachineError if the device is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if world.size > 1 and name.startswith("cuda:"):
        raise UsageError(
            f"{name} is one device, not one for each of {world.size} processes.",
            hint="Use --device cuda, and CUDA_VISIBLE_DEVICES to choose among them.",
        )
    if world.size > 1 and name == "cuda":
        name = f"cuda:{world.local_rank}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MachineError(
            f"There is no device '{name}' here: {one_line(error)[:120]}.", hint="Use --device cpu."
        ) from error
    return device


@contextmanager
def _sole_writer(run: Run, dataset: Dataset, world: World) -> Iterator[None]:
    """The run's folder is this training's alone, and free of what a killed one left."""
    if not world.writes:
        yield
        return
    with sole_writer(run.folder), recorded_failure(run):
        sweep_temporaries(run.folder)
        if not run.images.exists():
            run.write_images(dataset)
        yield


def refuse_unshareable(recipe: Recipe, dataset: Dataset, world: World) -> None:
    """Raises before the work what several processes cannot train on."""
    if world.size == 1:
        return
    fingerprint = dataset.fingerprint
    if world.from_first(fingerprint.encode()).decode() != fingerprint:
        raise DataError("The images here are not those of the first process.")
    if min(recipe.batch_size // recipe.accumulate, len(dataset.train)) < world.size:
        raise UsageError(
            f"{world.size} processes need at least as many training images, and a --batch-size "
            f"of {world.size * recipe.accumulate} or more, not {recipe.batch_size}."
        )


def _of_first(recipe: Recipe, world: World) -> Recipe:
    """What was measured to be fastest where the first process runs, for all of them."""
    if world.size == 1:
        return recipe
    return recipe_from_data(json.loads(world.from_first(json.dumps(asdict(recipe)).encode())))


def _normalise(contract: ModelContract, recipe: Recipe) -> Normalise:
    return Normalise(contract.mean, contract.std, contiguous=recipe.layout == "contiguous")


def _evaluation_batches(
    split: Split, contract: ModelContract, recipe: Recipe, world: World = ALONE
) -> Iterator[Batch]:
    normalise = _normalise(contract, recipe)
    return evaluation_batches(split.pixels, split.labels, normalise, world=world)


def _class_weights(dataset: Dataset, recipe: Recipe) -> Tensor | None:
    if recipe.class_weights == "none":
        return None
    return balanced_weights(torch.from_numpy(dataset.train.labels), len(dataset.classes))


def _finish(
    run: Run,
    dataset: Dataset,
    model: nn.Module,
    progress: Progress,
    *,
    device: torch.device,
    stop: StopRequest,
    note: Callable[[str], None],
) -> None:
    best = progress.best
    if best is None:
        raise DivergedError("No epoch had a validation loss that is a number.", where=run.folder)
    load_weights(model, read_checkpoint(run.best).model, run.best)
    batches = _evaluation_batches(dataset.test, run.config.contract, run.config.recipe)
    report = examine(model, dataset, batches, device=device, epoch=best.epoch, stop=stop)
    run.write_result(
        {
            "epochs": progress.epoch,
            "best_epoch": best.epoch,
            "val_accuracy": best.val_accuracy,
            "test_accuracy": report.accuracy,
            "seconds": sum(record.seconds for record in progress.history),
            "stopped_early": progress.epoch < run.config.recipe.epochs,
        }
    )
    show_what_came_of_it(
        run, model, report, pixels=dataset.test.pixels, history=progress.history, note=note
    )
    with disk_errors(run.previous):
        run.previous.unlink(missing_ok=True)  # it was for going on, and costs as much as the last
