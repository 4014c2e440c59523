"""From what a user asks for to a run that can be trained: data opened, contract fixed."""

from __future__ import annotations

from dataclasses import replace

from .data import DataConfig, Dataset, open_dataset
from .data.decode import Progress
from .environment import environment
from .registry import Registry
from .runs import RunConfig, now
from .specs import Form, ModelContract, Recipe


def plan(
    registry: Registry,
    architecture: str,
    data: DataConfig,
    recipe: Recipe,
    *,
    form: Form | None = None,
    dropout: float | None = None,
    progress: Progress | None = None,
) -> tuple[RunConfig, Dataset]:
    """Open the data and fix everything that decides the model. Nothing is written.

    The network's form follows from the image size unless `form` is given.
    """
    entry = registry.architectures.entry(architecture)
    spec = entry.spec
    dataset = open_dataset(
        registry, data, fallback_size=spec.input_shape, min_size=spec.min_size, progress=progress
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
    config = RunConfig(
        contract=contract,
        recipe=recipe,
        data=replace(data, image_size=dataset.image_shape[1]),
        data_fingerprint=dataset.fingerprint,
        environment=environment(),
        created=now(),
    )
    return config, dataset
