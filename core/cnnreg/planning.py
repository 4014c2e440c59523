"""From what a user asks for to a run that can be trained: data opened, contract fixed."""

from __future__ import annotations

from dataclasses import replace

from .data import DataConfig, Dataset, open_dataset
from .data.decode import Progress
from .environment import environment
from .errors import UsageError
from .recipe import Recipe
from .registry import Registry
from .runs import PRETRAINED, RunConfig, now
from .specs import Form, ModelContract


def plan(
    registry: Registry,
    architecture: str,
    data: DataConfig,
    recipe: Recipe,
    *,
    form: Form | None = None,
    dropout: float | None = None,
    weights: str = "",
    progress: Progress | None = None,
) -> tuple[RunConfig, Dataset]:
    """Open the data and fix everything that decides the model. Nothing is written.

    The network's form follows from the image size unless `form` is given. `weights`
    is "pretrained" or the path of a file to start from; empty starts from random ones.
    """
    dataset = open_for(registry, architecture, data, progress=progress)
    config = fix(
        registry,
        architecture,
        data,
        dataset,
        recipe,
        form=form,
        dropout=dropout,
        weights=weights,
    )
    return config, dataset


def open_for(
    registry: Registry, architecture: str, data: DataConfig, *, progress: Progress | None = None
) -> Dataset:
    """The data at a size that the network takes."""
    spec = registry.architectures[architecture]
    return open_dataset(
        registry, data, fallback_size=spec.input_shape, min_size=spec.min_size, progress=progress
    )


def fix(
    registry: Registry,
    architecture: str,
    data: DataConfig,
    dataset: Dataset,
    recipe: Recipe,
    *,
    form: Form | None = None,
    dropout: float | None = None,
    weights: str = "",
) -> RunConfig:
    """Everything that decides the model, for data that are open already."""
    entry = registry.architectures.entry(architecture)
    spec = entry.spec
    if weights == PRETRAINED and spec.pretrained is None:
        raise UsageError(
            f"'{spec.name}' comes without pretrained weights.",
            hint="Name a file of yours with --weights.",
        )
    options = spec.options(
        num_classes=len(dataset.classes),
        input_shape=dataset.image_shape,
        form=form,
        dropout=dropout,
    )
    contract = ModelContract(
        architecture=spec.name,
        plugin=entry.plugin.package,
        num_classes=options.num_classes,
        input_shape=options.input_shape,
        form=options.form,
        dropout=options.dropout,
        classes=dataset.classes,
        mean=dataset.mean,
        std=dataset.std,
        resize=data.resize,
        dataset=dataset.name,
    )
    return RunConfig(
        contract=contract,
        recipe=recipe,
        data=replace(data, image_size=dataset.image_shape[1]),
        data_fingerprint=dataset.fingerprint,
        environment=environment(),
        created=now(),
        weights=weights,
    )
