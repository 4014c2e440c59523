"""A benchmark from what a user names to its results: models, data, contestants, times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnreg.errors import UsageError
from cnnreg.machine.environment import environment, physical_cores
from cnnreg.models import find_model, models_of
from cnnreg.planning import data_for_model
from cnnreg.registry import Registry
from cnnreg.runs import open_run
from cnnreg.runs.weights import is_outdated
from cnnreg.specs import ModelContract, ModelFile, RuntimeOptions

from .bench import BenchOptions, BenchResult, benchmark
from .choice import Choice, choose, is_proven
from .contestants import load_contestants

if TYPE_CHECKING:
    from cnnreg.specs import Pixels

IMAGES = 64


@dataclass(frozen=True, slots=True)
class Race:
    contract: ModelContract  # of the first model
    threads: int
    results: list[BenchResult]
    fastest: Choice | None  # of those proven equal to their originals
    environment: dict[str, Any]  # before it began


def race(
    registry: Registry,
    paths: Sequence[Path],
    *,
    data: str | Path | None = None,
    data_dir: Path | None = None,
    runtimes: tuple[str, ...] = (),
    devices: tuple[str, ...] = ("CPU",),
    threads: int | None = None,
    options: BenchOptions,
    step: Callable[[str], None] = lambda text: None,
    note: Callable[[str], None] = lambda text: None,
) -> Race:
    """Time the models in `paths` on the same images with equal threads."""
    models = [model for path in paths for model in _expand(registry, path)]
    if len({model.contract.input_shape for model in models}) > 1:
        raise UsageError("These models take images of different sizes; time them one by one.")
    dataset = data_for_model(registry, models[0], paths[0], data, data_dir)
    threads = threads or physical_cores()
    settings = RuntimeOptions(threads=threads, batch=options.batch, note=note)
    images = sample_images(dataset.val, options.batch)
    before = environment()
    contestants = load_contestants(registry, models, settings, devices, only=runtimes)
    for contestant in contestants:
        if is_outdated(contestant.model.path.parent):
            note(f"{contestant.label} is of older weights: export the run again")
    results = benchmark(contestants, images, options, step=step)
    fastest = choose(results, [is_proven(contestant) for contestant in contestants])
    return Race(models[0].contract, threads, results, fastest, before)


def sample_images(images: Any, batch: int) -> Pixels:
    """Enough validation images for eight different batches, repeated if there are too few."""
    import numpy as np

    pixels: Pixels = images.take(max(IMAGES, 8 * batch), seed=0).pixels
    repeats = -(-batch // len(pixels))
    return np.tile(pixels, (repeats, 1, 1, 1)) if repeats > 1 else pixels


def _expand(registry: Registry, path: Path) -> list[ModelFile]:
    """A run stands for its checkpoint and all its exports."""
    if (path / "run.json").is_file():
        return models_of(registry, open_run(path))
    return [find_model(registry, path)]
