"""From a run's folder to a trained model: wire network, data and optimizer, save, go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from cnnreg.data import Dataset, Split
from cnnreg.errors import (
    DivergedError,
    MachineError,
    ModelFileError,
    PluginError,
    UsageError,
)
from cnnreg.files import sole_writer, sweep_temporaries
from cnnreg.plugins import blaming, notify, one_line
from cnnreg.registry import Registry
from cnnreg.runs import Run
from cnnreg.specs import (
    ArchitectureSpec,
    EpochRecord,
    ModelContract,
    ModelOptions,
    Recipe,
    RunInfo,
)

from .batches import Batch, Normalise, TrainingBatches, evaluation_batches
from .checkpoint import load_weights, read_checkpoint
from .loop import evaluate, train
from .progress import Progress
from .saver import Saver
from .state import restore
from .stopping import StopRequest

PRECISIONS = ("fp32", "bf16")


def run_training(
    registry: Registry,
    run: Run,
    dataset: Dataset,
    *,
    device: str = "auto",
    on_step: Callable[[Progress], None] = lambda progress: None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[EpochRecord]:
    """Train `run` from its last checkpoint, or from the start, yielding each finished epoch.

    When training ends the best weights are measured on the test split, which
    nothing before has looked at, and result.json is written.
    """
    contract, recipe = run.config.contract, run.config.recipe
    target = choose_device(device)
    if recipe.precision not in PRECISIONS:
        raise UsageError(
            f"Training knows no precision '{recipe.precision}'.",
            hint=f"There are {', '.join(PRECISIONS)}.",
        )
    with sole_writer(run.folder), StopRequest() as stop:
        sweep_temporaries(run.folder)
        torch.manual_seed(recipe.seed)
        architecture = registry.architecture_of(contract)
        model = build_model(architecture, contract.options())
        model.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
        with blaming(f"Optimizer '{recipe.optimizer}'"):
            optimizer = registry.optimizers[recipe.optimizer].build(
                list(model.named_parameters()), recipe
            )
        progress = _where_it_stopped(run, model, optimizer, note)
        saver = Saver(run, model, optimizer, progress)
        saver.save()  # a run that cannot be saved fails here, before the work

        def after_step(progress: Progress) -> None:
            on_step(progress)
            saver.save_if_due()

        observers = registry.manager.hook.cnnreg_epoch_finished
        info = RunInfo(folder=run.folder, contract=contract, recipe=recipe)
        for record in train(
            model,
            optimizer,
            _training_batches(dataset, contract, recipe),
            validation=lambda: _evaluation_batches(dataset.val, contract),
            recipe=recipe,
            progress=progress,
            device=target,
            aux_weight=architecture.aux_weight,
            on_step=after_step,
            on_stop=saver.save,
            stop=stop,
        ):
            saver.save_epoch(record)
            notify(observers, note, run=info, record=record)
            yield record
        saver.draw()
        _finish(run, dataset, model, progress, device=target, stop=stop)


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


def choose_device(name: str) -> torch.device:
    """Raises MachineError if the device is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MachineError(
            f"There is no device '{name}' here: {one_line(error)[:120]}.", hint="Use --device cpu."
        ) from error
    return device


def _where_it_stopped(
    run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, note: Callable[[str], None]
) -> Progress:
    """The progress of the last checkpoint, with weights and states restored; or a fresh one."""
    if not run.last.exists():
        return Progress()
    checkpoint = read_checkpoint(run.last)
    if not checkpoint.extra:
        raise ModelFileError(
            "This checkpoint holds weights alone, nothing to go on from.",
            where=run.last,
            hint="Train anew.",
        )
    load_weights(model, checkpoint.model, run.last)
    progress, notes = restore(checkpoint, optimizer)
    for text in notes:
        note(text)
    return progress


def _training_batches(dataset: Dataset, contract: ModelContract, recipe: Recipe) -> TrainingBatches:
    return TrainingBatches(
        dataset.train.pixels,
        dataset.train.labels,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        augment=dataset.augment if recipe.augment == "auto" else recipe.augment,
        normalise=Normalise(contract.mean, contract.std),
    )


def _evaluation_batches(split: Split, contract: ModelContract) -> Iterator[Batch]:
    normalise = Normalise(contract.mean, contract.std)
    return evaluation_batches(split.pixels, split.labels, normalise)


def _finish(
    run: Run,
    dataset: Dataset,
    model: nn.Module,
    progress: Progress,
    *,
    device: torch.device,
    stop: StopRequest,
) -> None:
    best = progress.best
    if best is None:
        raise DivergedError("No epoch had a validation loss that is a number.", where=run.folder)
    load_weights(model, read_checkpoint(run.best).model, run.best)
    batches = _evaluation_batches(dataset.test, run.config.contract)
    _, test_accuracy = evaluate(model, batches, device=device, recipe=Recipe(), stop=stop)
    run.write_result(
        {
            "epochs": progress.epoch,
            "best_epoch": best.epoch,
            "val_accuracy": best.val_accuracy,
            "test_accuracy": test_accuracy,
            "seconds": sum(record.seconds for record in progress.history),
            "stopped_early": progress.epoch < run.config.recipe.epochs,
        }
    )
