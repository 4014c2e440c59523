"""Going on: the last whole checkpoint, and all in which this training differs from its."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

from cnnreg.data.dataset import Split
from cnnreg.errors import ModelFileError
from cnnreg.files import disk_errors, patiently
from cnnreg.machine.environment import processor_name
from cnnreg.recipe import Recipe, label
from cnnreg.runs import Run, now, read_metrics
from cnnreg.specs import to_data
from cnnreg.training.distributed.world import World
from cnnreg.training.feeding.batches import TrainingBatches
from cnnreg.training.step import Trainee

from .checkpoint import (
    Checkpoint,
    is_lost,
    is_shut,
    load_weights,
    parse_checkpoint,
    read_checkpoint,
    read_content,
)
from .progress import Progress
from .state import restore

Note = Callable[[str], None]

JUDGE = "validation"
IMAGES = ("data", "images")  # the same files may be fewer images: one that cannot be read now


def made_with(
    run: Run, batches: TrainingBatches, validation: Split, plugin: str, device: torch.device
) -> dict[str, Any]:
    """What decides the numbers of a training beside its state, JSON-ready."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "threads": torch.get_num_threads(),
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": device.type,
        **({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}),
        "processes": batches.world.size,
        "plugin": plugin,
        "data": run.config.data_fingerprint,
        "images": len(batches.labels),
        JUDGE: _digest(validation),
        "steps an epoch": len(batches),
        "recipe": to_data(run.config.recipe),
    }


def _digest(split: Split) -> str:
    """Of the images that can be read; nothing is looked at but names and sizes."""
    digest = sha256(f"{len(split)} ".encode())
    split.identify(digest.update)
    return digest.hexdigest()[:16]


def has_begun(run: Run, world: World) -> bool:
    """Whether there is a checkpoint to go on from. Raises ModelFileError if there was one."""
    found = world.any(world.writes and (run.last.exists() or run.previous.exists()))
    if world.writes and not found and (run.best.exists() or read_metrics(run.folder)):
        raise ModelFileError(
            "The checkpoint that this run would go on from is missing.",
            where=run.last,
            hint="Put it back, or train anew; --weights starts from the best of a run.",
        )
    return found


def go_on(
    run: Run,
    trainee: Trainee,
    batches: TrainingBatches,
    *,
    facts: dict[str, Any],
    world: World,
    note: Note,
) -> tuple[Run, Progress]:
    """Restore the last checkpoint; says, and adds to the run, what differs since it was made.

    `facts` is what `made_with` says now.
    """
    path, checkpoint = _last_whole(run, world, note)
    load_weights(trainee.model, checkpoint.model, path)
    progress = restore(checkpoint, trainee, world)
    before = checkpoint.state.get("made_with") or facts
    otherwise = _is_judged_otherwise(before, facts)
    # One that has ended already is at its end again, whatever became of its best weights.
    seeks = progress.best is not None and not progress.finished(run.config.recipe)
    lost = seeks and world.any(world.writes and is_lost(run.best))
    differences = list(_differences(before, facts, run.config.recipe, progress))
    if otherwise:
        differences.append("the validation images have changed: the best epoch is sought anew")
    if lost:
        differences.append(f"{run.best.name} is lost: the best epoch is sought anew")
    if otherwise or lost:
        progress.judged_since = progress.epoch
    for text in differences:
        note(text)
    _refit(progress, before, facts, batches)
    if differences:
        run = _with_change(run, progress, differences)
    if path != run.last and world.writes and run.last.exists():
        with disk_errors(run.damaged):  # aside: the next save must not take it for whole
            patiently(run.last.replace, run.damaged)
    return run, progress


def _last_whole(run: Run, world: World, note: Note) -> tuple[Path, Checkpoint]:
    """The last checkpoint or, if it is damaged or gone, the one before, said aloud."""
    try:
        return run.last, _read(run, run.last, world)
    except ModelFileError as error:
        if world.any(world.writes and is_shut(run.last)):  # whole, perhaps: not to be put aside
            raise ModelFileError(
                "The last checkpoint is there, but cannot be read now.",
                where=run.last,
                hint="Once it can, go on: nothing has been changed.",
            ) from error
        if not world.any(world.writes and run.previous.exists()):
            raise
        checkpoint = _read(run, run.previous, world)
        note(f"{error.what} [{run.last}]")
        note(f"going on from the checkpoint before it: {run.previous.name}")
        return run.previous, checkpoint


def _read(run: Run, path: Path, world: World) -> Checkpoint:
    checkpoint = _read_for_all(path, world)
    if not checkpoint.extra:
        raise ModelFileError(
            "This checkpoint holds weights alone, nothing to go on from.",
            where=path,
            hint="Train anew.",
        )
    made, wanted = checkpoint.contract, run.config.contract
    if made.architecture != wanted.architecture:
        raise ModelFileError(
            f"This checkpoint was made for '{made.architecture}', not '{wanted.architecture}'.",
            where=path,
        )
    if made != wanted:
        differing = [key for key, value in to_data(wanted).items() if to_data(made)[key] != value]
        raise ModelFileError(
            f"This checkpoint is of another run: {', '.join(map(label, differing))} differ.",
            where=path,
        )
    return checkpoint


def _read_for_all(path: Path, world: World) -> Checkpoint:
    """Read by the first process, the one whose disk holds the run."""
    if world.size == 1:
        return read_checkpoint(path)
    content = b""
    if world.writes:
        with suppress(ModelFileError):  # all must come to know of it: as of an empty file
            content = read_content(path)
    return parse_checkpoint(world.from_first(content), path)


def _differences(
    before: dict[str, Any], facts: dict[str, Any], recipe: Recipe, progress: Progress
) -> Iterator[str]:
    """A line for each fact that is another one now."""
    if _has_other_images(before, facts):
        again = "; the epoch in work begins again" if progress.images else ""
        yield f"not bit-exact: the images have changed{again}"
    flat = {**before, **before["recipe"]}
    for name, value in {**facts, **facts["recipe"]}.items():
        if name in ("recipe", "steps an epoch", JUDGE, *IMAGES) or name not in flat:
            continue  # an older version did not keep all of them
        if (was := flat[name]) != value:
            exact = "" if _keeps_the_numbers(name, recipe) else "not bit-exact: "
            yield f"{exact}{label(name)} was {was}, is {value}"


def _has_other_images(before: dict[str, Any], facts: dict[str, Any]) -> bool:
    return any(before.get(name, facts[name]) != facts[name] for name in IMAGES)


def _is_judged_otherwise(before: dict[str, Any], facts: dict[str, Any]) -> bool:
    """What was best before is then no measure for what comes; older versions tell of all images."""
    known = JUDGE if JUDGE in before else "data"
    return bool(before.get(known, facts[known]) != facts[known])


def _keeps_the_numbers(name: str, recipe: Recipe) -> bool:
    """Whether a longer training so far was step by step the same as a shorter one."""
    alike = not recipe.comes_down and recipe.start_size == 1
    return name == "patience" or (name == "epochs" and alike)


def _refit(
    progress: Progress, before: dict[str, Any], facts: dict[str, Any], batches: TrainingBatches
) -> None:
    """Count in the batches there are now: each image once an epoch, the schedule where it was."""
    was, steps = before["steps an epoch"], len(batches)
    if _has_other_images(before, facts):
        progress.begin_epoch()
        progress.step = progress.epoch * steps
    elif was != steps or before["recipe"]["batch_size"] != batches.batch_size:
        progress.step = round(progress.step * steps / was)
        progress.batch = -(-progress.images // batches.batch_size)
    # Each process needs an image, and batch norm cannot take one alone: some are seen twice.
    least, left = max(2, batches.world.size), len(batches.labels) - progress.images
    if 0 < left < least:
        progress.images -= least - left


def _with_change(run: Run, progress: Progress, differences: list[str]) -> Run:
    stands = {"epoch": progress.epoch, "step": progress.step, "what": differences}
    if run.config.changes and stands.items() <= run.config.changes[-1].items():
        return run  # killed before the first save since
    return run.changed(changes=(*run.config.changes, {**stands, "at": now()}))
