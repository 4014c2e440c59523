"""A benchmark from what a user names to its results: models, data, contestants, times."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnreg.engines import check_threads
from cnnreg.errors import CnnregError, MachineError, UsageError
from cnnreg.machine.awake import awake
from cnnreg.machine.environment import busy_processors, environment, physical_cores, power_source
from cnnreg.models import digest_of, find_model, models_of
from cnnreg.registry import Registry
from cnnreg.runs import is_run, open_run
from cnnreg.runs.weights import is_outdated
from cnnreg.specs import ModelContract, ModelFile, RuntimeOptions

from .agreement import EXPECTED, judged
from .bench import BenchOptions, BenchResult, benchmark
from .choice import Choice, choose, proof_of
from .contestants import device_names, load_contestants
from .images import images_to_time

LOOK = 0.5  # seconds, at how busy the machine is before anything is loaded
BUSY = 0.15  # of all processors, which is worth a warning


@dataclass(frozen=True, slots=True)
class Race:
    contract: ModelContract  # of the first model
    threads: int
    results: list[BenchResult]
    fastest: Choice | None  # of those proven equal to their originals
    environment: dict[str, Any]  # before it began
    devices: dict[str, str]  # the full names of the places where they ran
    warnings: tuple[str, ...] = ()  # which hold for all of them
    failure: MachineError | None = None  # of a device that was named and failed in use


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
    """Time the models in `paths` on the same images with equal threads.

    One for each core is the engines' own choice, and left to them, as it is in use.

    Raises MachineError if what the others are compared with fails in use.
    """
    check_threads(threads)
    models = [model for path in paths for model in _expand(registry, path)]
    if len({model.contract.input_shape for model in models}) > 1:
        raise UsageError("These models take images of different sizes; time them one by one.")
    threads = threads or physical_cores()
    settings = RuntimeOptions(threads=threads, batch=options.batch, note=note)
    images, noisy = images_to_time(
        registry, models[0], paths[0], data=data, data_dir=data_dir, batch=options.batch
    )
    before = environment(patience=LOOK)
    busy = busy_processors(LOOK)
    contestants = load_contestants(registry, models, settings, devices, only=runtimes)
    for contestant in contestants:
        if is_outdated(contestant.model.path.parent):
            note(f"{contestant.label} is of older weights: export the run again")
    names = device_names(contestants)
    digests = {path: digest_of(path) for path in {one.model.path for one in contestants}}
    # As the digests: a run may be exported again while its files are timed.
    proofs = [proof_of(contestant) for contestant in contestants]
    with awake():
        outcomes = benchmark(contestants, images, options, step=step, note=note)
    outcomes_of = list(zip(contestants, outcomes, strict=True))
    # What it is shown is no picture, so that nothing follows from what it is taken for.
    pairs = judged(outcomes_of, images, options.batch, expected=0 if noisy else EXPECTED)
    timed = [
        (replace(result, sha256=digests[one.model.path]), proof)
        for (one, result), proof in zip(pairs, proofs, strict=True)
        if isinstance(result, BenchResult)
    ]
    lost = [(one, error) for one, error in pairs if isinstance(error, CnnregError)]
    results = [result for result, _ in timed]
    return Race(
        contract=models[0].contract,
        threads=threads,
        results=results,
        fastest=choose(results, [proof for _, proof in timed]),
        environment=before,
        devices=names,
        warnings=(
            *([noisy] if noisy else []),
            *power_warnings(before["power"], power_source()),
            *load_warnings(busy),
            *(f"{one.label} was left out: {error.what}" for one, error in lost),
        ),
        failure=next(
            (error for one, error in lost if one.named and isinstance(error, MachineError)), None
        ),
    )


def power_warnings(before: str | None, after: str | None) -> tuple[str, ...]:
    """A laptop's speed is decided by where its power comes from."""
    if before and after and before != after:
        return (f"the power changed from {before} to {after} meanwhile: time them again",)
    if "battery" in (before, after):
        return ("on battery: many laptops are slower than on mains then",)
    return ()


def load_warnings(busy: float | None) -> tuple[str, ...]:
    """`busy` is how many processors other programs use.

    The load of the last minute would count a training that has just ended.
    """
    processors = os.cpu_count() or 1
    if busy is None or busy <= BUSY * processors:
        return ()
    return (
        f"other programs use {busy:.1f} of {processors} processors: "
        "engines that wait for all their threads suffer most",
    )


def _expand(registry: Registry, path: Path) -> list[ModelFile]:
    """A run stands for its checkpoint and all its exports."""
    if is_run(path):
        return models_of(registry, open_run(path))
    return [find_model(registry, path)]
