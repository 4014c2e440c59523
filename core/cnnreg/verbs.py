"""What the commands do, for Python programs: `from cnnreg import train, export, load`.

Nothing here prints or asks. Progress comes through the callbacks, and what goes wrong is
a CnnregError, whose text a person can act on.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

from .data import data_config
from .data.config import TEST_FRACTION, VAL_FRACTION
from .errors import UnknownNameError, UsageError
from .exporting.budget import DEFAULT_MINUTES
from .exporting.original import load_original
from .exporting.publishing import ExportResult, publish
from .planning import DEFAULT_DATA, make_recipe, plan
from .recipe import recipe_field, recipe_fields
from .registry import Registry, load_registry
from .run_data import data_of_run
from .runs import PRETRAINED, Run, create_run, find_run, open_run
from .specs import EpochRecord, Form, Interface, Precision, Resize
from .specs.data import DOWNLOADS
from .timing.bench import BenchOptions
from .timing.race import Race, race
from .using import Evaluation, Guess, Model, evaluate, load, place_of, predict

__all__ = [
    "Evaluation",
    "ExportResult",
    "Guess",
    "Model",
    "Race",
    "Run",
    "benchmark",
    "evaluate",
    "export",
    "load",
    "predict",
    "train",
]


def train(
    architecture: str,
    *,
    data: str | Path = DEFAULT_DATA,
    data_dir: Path | str = DOWNLOADS,
    image_size: int | None = None,
    resize: Resize = "squash",
    val_fraction: float = VAL_FRACTION,
    test_fraction: float = TEST_FRACTION,
    recipe: str | None = None,
    form: Form | None = None,
    dropout: float | None = None,
    weights: Run | Path | str = "",
    device: str = "auto",
    output: Path | str | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
    note: Callable[[str], None] = lambda text: None,
    registry: Registry | None = None,
    **settings: Any,
) -> Run:
    """Train a network of the registry to the end, and return its run.

    `data` is a data set by name or a folder of class folders; splits that it comes without
    are held out of its training images. `recipe` is a name or a TOML file, `weights`
    "pretrained", or a run or file to start from. `settings` are fields of Recipe:
    `epochs=10, learning_rate=0.01`.
    """
    from .training.building import choose_device
    from .training.start import try_out
    from .training.trainer import run_training

    choose_device(device)
    registry = registry or load_registry()
    known = [field.name for field in recipe_fields()]
    for name in settings:
        if recipe_field(name) not in known:
            raise UnknownNameError("setting", name, known)
    own = registry.architectures[architecture].recipe
    chosen = make_recipe(registry, own, recipe, settings, note=note)
    config = data_config(
        str(data),
        registry,
        note=note,
        downloads=data_dir,
        image_size=image_size,
        resize=resize,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
    )
    planned, dataset = plan(
        registry,
        architecture,
        config,
        chosen,
        form=form,
        dropout=dropout,
        weights=weights if weights in ("", PRETRAINED) else place_of(weights),
    )
    dataset.decode()
    for remark in dataset.remarks():
        note(remark)
    try_out(registry, planned, dataset)
    run = create_run(planned, folder=_path(output))
    for record in run_training(registry, run, dataset, device=device, note=note):
        on_epoch(record)
    return open_run(run.folder)


def export(
    run: Run | Path | str,
    format: str = "openvino",  # noqa: A002 - the word that users know
    precision: Precision = "fp32",
    *,
    embed: bool = False,
    fixed: bool = False,
    max_drop: float | None = None,
    max_minutes: float = DEFAULT_MINUTES,
    data: Path | str | None = None,
    data_dir: Path | str | None = None,
    output: Path | str | None = None,
    note: Callable[[str], None] = lambda text: None,
    registry: Registry | None = None,
) -> ExportResult:
    """Write a run's best weights in another format, proven equal. Raises GateError if not.

    `data` is where a run's images lie now, if they were moved, or whose they are, if it was
    imported without; `data_dir` the same for a data set by name. `note` is told which images
    cannot be read.
    """
    for name, given, most in (("max_drop", max_drop, 100), ("max_minutes", max_minutes, inf)):
        if given is not None and not (isinstance(given, (int, float)) and 0 <= given <= most):
            raise UsageError(f"{name} must be a number from 0 to {most}, not {given!r:.30}.")
    registry = registry or load_registry()
    opened = run if isinstance(run, Run) else open_run(place_of(run))
    dataset = data_of_run(registry, opened, folder=_path(data), downloads=_path(data_dir))
    original = load_original(registry, opened, dataset, note=note)
    return publish(
        registry,
        original,
        registry.exporters[format],
        precision,
        output=_path(output),
        max_drop=max_drop,
        max_minutes=max_minutes,
        interface=Interface(embed=embed, fixed=fixed),
    )


def benchmark(
    *models: Run | Path | str,
    data: str | Path | None = None,
    data_dir: Path | str | None = None,
    devices: tuple[str, ...] | str = ("CPU",),
    threads: int | None = None,
    batch: int = 1,
    rounds: int = 10,
    seconds: float = 0.5,
    warmup: float = 1.0,
    registry: Registry | None = None,
) -> Race:
    """Time models on the same images, in turns; a run stands for its checkpoint and all exports.

    Without any it is the newest run. The first one is what the speed-ups are relative to.
    Raises MachineError if one of the `devices` fails in use; its `finished` are what was timed.
    """
    raced = race(
        registry or load_registry(),
        [place_of(model) for model in models] or [find_run().folder],
        data=data,
        data_dir=_path(data_dir),
        devices=(devices,) if isinstance(devices, str) else tuple(devices),
        threads=threads,
        options=BenchOptions(batch=batch, rounds=rounds, seconds=seconds, warmup=warmup),
    )
    if raced.failure:
        raced.failure.finished = [*raced.results]
        raise raced.failure
    return raced


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)
