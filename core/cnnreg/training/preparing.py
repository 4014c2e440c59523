"""What a training begins with: network, data and optimizer, wired, or as they were saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn

from cnnreg.data import Dataset
from cnnreg.errors import MachineError
from cnnreg.plugins import blaming
from cnnreg.recipe import Recipe, recipe_from_data
from cnnreg.registry import Registry
from cnnreg.runs import Run
from cnnreg.specs import ArchitectureSpec, ModelOptions

from .building import build_model, build_optimizer, memory_format
from .distributed.sync_norm import synchronised
from .distributed.world import World
from .feeding.batches import TrainingBatches
from .feeding.resizing import check_sizes
from .feeding.splits import class_weights, training_batches
from .groups import body_of, head_of
from .loop import stopped
from .saving.progress import Progress
from .saving.resuming import go_on, has_begun, made_with
from .saving.saver import Saver
from .saving.state import part_streams, seed_streams
from .speed.probe import settle
from .start import start_from
from .step import Step, Trainee, averaged, title
from .stopping import StopRequest


@dataclass(frozen=True, slots=True)
class Prepared:
    """A training before its next step."""

    step: Step
    batches: TrainingBatches
    body: list[nn.Parameter]  # what the recipe may freeze
    saver: Saver


def prepared(
    registry: Registry,
    run: Run,
    dataset: Dataset,
    *,
    device: torch.device,
    world: World,
    stop: StopRequest,
    note: Callable[[str], None],
) -> Prepared:
    """From the run's last checkpoint, or from the start; its recipe has no `auto` any more."""
    contract = run.config.contract
    entry = registry.entry_of(contract)
    architecture, options = entry.spec, contract.options()
    begun = has_begun(run, world)
    seed_streams(run.config.recipe.seed)
    model = build_model(architecture, options)
    check_sizes(model, run.config.recipe, contract.input_shape)
    demanded = run.config.recipe.compile == "on" and not begun
    recipe = _settled(
        run, model, architecture, dataset, device=device, world=world, stop=stop, note=note
    )
    recipe = _compilable(recipe, world, demanded=demanded, note=note)
    run = run.changed(recipe=recipe)
    if run.config.weights and not begun:
        run = run.changed(fresh=_started(run, architecture, model, world, note))
    head = _head(architecture, options, recipe, run.config.fresh)
    trainee = _trainee(registry, model, recipe, head, device=device, world=world)
    part_streams(recipe.seed, world)
    batches = training_batches(dataset, contract, recipe, world)
    facts = made_with(run, batches, dataset.val, entry.plugin.package, device)
    progress = Progress()
    if begun:
        run, progress = go_on(run, trainee, batches, facts=facts, world=world, note=note)
    step = Step(
        trainee,
        recipe,
        name=architecture.name,
        device=device,
        world=world,
        input_shape=contract.input_shape,
        aux_weight=architecture.aux_weight,
        class_weights=class_weights(dataset, recipe),
    )
    saver = Saver(run, trainee, progress, made_with=facts, world=world)
    return Prepared(step, batches, body_of(trainee.model, head), saver)


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


def can_compile() -> bool:
    try:
        torch.compile(nn.ReLU())(torch.ones(2))
    except Exception:  # noqa: BLE001 - whatever is missing
        return False
    return True


def _started(
    run: Run,
    architecture: ArchitectureSpec,
    model: nn.Module,
    world: World,
    note: Callable[[str], None],
) -> tuple[str, ...]:
    """Which parameters the weights lack: those of the first process, which all get."""
    fresh: tuple[str, ...] = ()
    if world.writes:
        said, fresh = start_from(run.config.weights, architecture, model, run.config.contract)
        note(said)
    return tuple(json.loads(world.from_first(json.dumps(fresh).encode())))


def _head(
    architecture: ArchitectureSpec, options: ModelOptions, recipe: Recipe, fresh: Iterable[str]
) -> frozenset[str]:
    """The head's parameters, and what else begins at random where the rest was learned already.

    Empty where the recipe treats them as the rest of the network.
    """
    if not recipe.freeze and recipe.body_rate == 1:
        return frozenset()
    with blaming(f"Building '{architecture.name}'"):
        return head_of(architecture, options).union(fresh)


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
