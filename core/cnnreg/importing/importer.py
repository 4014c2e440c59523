"""From a file's tensors to a run: the network they fit, and what must travel with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from cnnreg.data import DataConfig, Dataset
from cnnreg.errors import ModelFileError, PluginError, UsageError
from cnnreg.machine.environment import environment
from cnnreg.networks.summary import write_summary
from cnnreg.registry import Registry
from cnnreg.runs import Run, RunConfig, now
from cnnreg.specs import IMAGENET_MOMENTS, ArchitectureSpec, Form, ModelContract, to_data
from cnnreg.specs.contract import unnamed_classes
from cnnreg.training.building import build_model
from cnnreg.training.saving.checkpoint import Checkpoint, save_checkpoint
from cnnreg.training.saving.foreign import copy_fitting
from cnnreg.training.saving.state import seed_streams

from .contract import Wishes, agreed_classes, image_shape, make_contract
from .fitting import Fit, best_fit, fits_either_form, listed
from .mismatch import misfit
from .reading import Weights

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Import:
    """A network with a file's weights, and the run it is to become."""

    config: RunConfig
    model: nn.Module
    fit: Fit


def plan_import(
    registry: Registry,
    architecture: str,
    weights: Weights,
    wishes: Wishes,
    *,
    data: tuple[DataConfig, Dataset] | None = None,
    note: Note = lambda text: None,
) -> Import:
    """Nothing is written. Raises ModelFileError if the weights do not fit the network."""
    entry = registry.architectures.entry(architecture)
    spec, dataset = entry.spec, data[1] if data else None
    try:
        spec.options(form=wishes.form)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    classes = agreed_classes(wishes.classes, dataset)
    if dataset is not None and classes is not None:
        dataset = dataset.in_order(classes)
    shape, channels = image_shape(spec, wishes, dataset)
    fit = best_fit(
        spec,
        weights.tensors,
        shape=shape,
        channels=channels,
        num_classes=len(classes) if classes else None,
        form=wishes.form,
    )
    if wishes.form is None and fits_either_form(spec, fit, weights.tensors, len(classes or ())):
        note(
            f"the file fits both forms; taken for the {fit.options.form} one, as images of this "
            "size have it: --form names the other"
        )
    if not wishes.partial and not fit.whole:
        raise misfit(registry, spec, weights, fit)
    if classes is None and fit.classes is None:
        raise ModelFileError(
            "The file holds no classifier layer, so the number of classes is not known.",
            where=weights.file,
            hint="Name them with --classes or --data.",
        )
    model = _built(spec, fit, wishes.form, note)
    copy_fitting(model, fit.tensors, spec.name, weights.file)
    if classes is None:
        classes = unnamed_classes(fit.options.num_classes)
        note("the file does not name its classes: --classes FILE, or imagenet, does")
    if not fit.whole:
        note("what the file lacks is untrained: the run means nothing before a training")
    if fit.idle:
        note(f"untrained, but needed for training alone: {listed(fit.idle)}")
    contract = make_contract(entry, fit, wishes, classes, dataset)
    if wishes.mean is None or wishes.std is None:
        note(_whose_moments(contract, spec, dataset, wishes))
    registry.entry_of(contract)  # what could not be opened again is not begun
    config = RunConfig(
        contract=contract,
        recipe=spec.recipe.with_patience(),
        data=data[0] if data else DataConfig(name="", image_size=shape[1], resize=wishes.resize),
        data_fingerprint=dataset.fingerprint if dataset else "",
        environment=environment(),
        created=now(),
        imported=report(weights, fit),
    )
    return Import(config, model, fit)


def _whose_moments(
    contract: ModelContract, spec: ArchitectureSpec, dataset: Dataset | None, wishes: Wishes
) -> str:
    """Of mean and std, those that were not given."""
    assumed = [name for name in ("mean", "std") if getattr(wishes, name) is None]
    told = (f"{name} {', '.join(f'{x:.3g}' for x in getattr(contract, name))}" for name in assumed)
    flags = " and ".join(f"--{name}" for name in assumed)
    if dataset is not None:
        whose = "the data's"
    elif (spec.pretrained_mean, spec.pretrained_std) == IMAGENET_MOMENTS:
        whose = "ImageNet's"
    else:
        whose = "those of the network's published weights"
    one = len(assumed) == 1
    are, name_those = ("is", "names that") if one else ("are", "name those")
    return f"{' and '.join(told)} {are} {whose}: {flags} {name_those} of its training"


def report(weights: Weights, fit: Fit) -> dict[str, Any]:
    """Where the weights came from and what became of them, JSON-ready."""
    return {
        "file": weights.file.name,
        "sha256": weights.sha256,
        "taken": len(fit.taken),
        "missing": list(fit.missing),
        "idle": list(fit.idle),
        "unused": list(fit.unused),
        "misshapen": to_data(fit.misshapen),
    }


def write_import(run: Run, planned: Import, dataset: Dataset | None = None) -> None:
    """What a training leaves, as far as there is any; a folder that cannot be filled goes."""
    state = planned.model.state_dict()
    try:
        save_checkpoint(run.best, Checkpoint(planned.config.contract, state))
        write_summary(run.folder, planned.model, planned.config.contract)
        if dataset is not None:
            run.write_images(dataset)
    except BaseException:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise


def _built(spec: ArchitectureSpec, fit: Fit, form: Form | None, note: Note) -> nn.Module:
    options = fit.options
    height, width = options.input_shape[1:]
    usual = form or spec.options(input_shape=options.input_shape).form
    seed_streams(spec.recipe.seed)  # of what the file does not hold
    try:
        model = build_model(spec, options)
    except PluginError as error:
        if options.form == usual:
            raise
        raise UsageError(
            f"The file fits the {options.form} form, which takes no images of {height}x{width}.",
            hint="Name another --image-size.",
        ) from error
    if options.form != usual:
        note(
            f"the file fits the {options.form} form alone, so that is taken; images of "
            f"{height}x{width} would have the {usual} one"
        )
    return model
