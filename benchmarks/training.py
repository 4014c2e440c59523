"""Training: `cnnreg train`'s loop against the loop of PyTorch's documentation, interleaved.

    python benchmarks/training.py [--networks resnet18,mlp] [--rounds 5] [--seconds 3] [--json FILE]

Each network is trained by

- documented: a torchvision data set (files on disk: ImageFolder), transforms, a
  DataLoader with 0 and with 2 workers (the faster one counts), fp32, eager, Adam;
- ours: the same network, batch, optimizer and augmentation as `cnnreg train` runs
  them, with the precision, layout and compilation that it measures to be fastest here
  for a training of 20 epochs;
- ours, one lever after another.

What the pipeline costs is told by one more process, in which a batch that has to be made
and one that lies in memory take turns, step by step.

Each contestant has a process of its own, so that none profits from what another has
set, and waits while others run, its free memory given back, for not all would fit at
once. A round trains each for some seconds, in turn; the ratio of a round is that of
neighbours in time. Reported are medians and their range.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from math import prod
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.data import DataLoader
from training_data import Data, open_data

from cnnreg.data import Dataset
from cnnreg.machine.environment import environment
from cnnreg.planning import plan
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry, load_registry
from cnnreg.runs import RunConfig
from cnnreg.training.building import build_model, memory_format
from cnnreg.training.determinism import deterministic
from cnnreg.training.distributed.world import ALONE
from cnnreg.training.feeding.batches import PREPARED_BYTES, Batch
from cnnreg.training.feeding.splits import training_batches
from cnnreg.training.speed.memory import keep_freed_memory
from cnnreg.training.speed.probe import settle
from cnnreg.training.step import Step, Trainee
from cnnreg.training.stopping import StopRequest

T = TypeVar("T")

BATCH = 64
NETWORKS = {
    "mlp": "mnist",
    "simple_cnn": "mnist",
    "vgg11_bn": "cifar",
    "resnet18": "cifar",
    "resnet20": "cifar",
    "wrn_16_4": "cifar",
    "mobilenet_v1": "cifar",
    "mobilenet_v2": "cifar",
    "shufflenet_v2_x1_0": "cifar",
    "densenet121": "cifar",
    "googlenet": "cifar",
    "mobilenet_v2@224": "photos",
}
"""Each network and the data it is trained on: files of CIFAR's size, MNIST, or 224-pixel JPEGs."""

Advance = Callable[..., Batch]
"""Trains one batch, the next or a given one, and returns it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn in a round")
    parser.add_argument("--cifar", type=Path, help="class folders of 32x32 images; default: made")
    parser.add_argument("--mnist", type=Path, help="folder of the idx files; default: made images")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks.split(","):
            data = open_data(NETWORKS[name], Path(folder), options)
            results[name] = race(name.partition("@")[0], data, options)
            print(_line(name, results[name]), flush=True)
            if options.json:  # after each, for the next may take minutes
                report = {"results": results, "environment": environment()}
                options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    ratios = [result["ratio"]["median"] for result in results.values()]
    print(
        f"\ngeometric mean of the ratios {prod(ratios) ** (1 / len(ratios)):.2f}, least "
        f"{min(ratios):.2f}"
    )
    print(json.dumps(environment(), indent=2))


CONTESTANTS: dict[str, dict[str, Any]] = {
    "documented, 0 workers": {"workers": 0},
    "documented, 2 workers": {"workers": 2},
    "our batches, documented step": {"batches": "ours"},
    "ours": {},
    "ours, memory given back": {"memory": "given back"},
    "ours, optimizer not fused": {"optimizer": "not fused"},
    "ours, fp32 contiguous": {"precision": "fp32", "layout": "contiguous", "compile": "off"},
    "ours, fp32 channels-last": {"precision": "fp32", "layout": "channels-last", "compile": "off"},
}
"""As `cnnreg train` runs them, but for what is named."""


def race(name: str, data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """Images per second of each contestant, medians over rounds; ratios within a round."""
    chosen, facts = _choose(load_registry(), name, data)
    rates: dict[str, list[float]] = {key: [] for key in CONTESTANTS}
    costs: list[float] = []
    with ExitStack() as stack:
        contestants = {
            key: stack.enter_context(_process(name, data, chosen, **settings))
            for key, settings in CONTESTANTS.items()
        }
        pipeline = stack.enter_context(_process(name, data, chosen, paired=True))
        for number in range(options.rounds + 1):  # the first round is warm-up
            for key, ask in contestants.items():
                rate = ask(options.seconds)
                if number:
                    rates[key].append(rate)
            cost = pipeline(options.seconds)
            if number:
                costs.append(cost)
    pairs = zip(*(rates[k] for k in CONTESTANTS if k.startswith("documented")), strict=True)
    best = [max(pair) for pair in pairs]
    ratios = [own / other for own, other in zip(rates["ours"], best, strict=True)]
    return {
        **facts,
        "chosen": f"{chosen.precision} {chosen.layout}"
        + (" compiled" if chosen.compile == "on" else ""),
        "images_per_second": {key: round(median(own), 1) for key, own in rates.items()},
        "ratio": {
            "median": round(median(ratios), 3),
            "min": round(min(ratios), 3),
            "max": round(max(ratios), 3),
        },
        "pipeline_cost": {
            "median": round(median(costs), 4),
            "min": round(min(costs), 4),
            "max": round(max(costs), 4),
        },
        "rounds": options.rounds,
    }


def _choose(registry: Registry, name: str, data: Data) -> tuple[Recipe, dict[str, Any]]:
    """The recipe as `cnnreg train` settles it here, and what is trained on."""
    keep_freed_memory()
    recipe = Recipe(epochs=20, batch_size=BATCH, augment=data.augment)
    config, dataset = plan(registry, name, data.config, recipe)
    architecture = registry.architectures[name]
    chosen = settle(
        build_model(architecture, config.contract.options()),
        recipe,
        lambda recipe: training_batches(dataset, config.contract, recipe),
        aux_weight=architecture.aux_weight,
        contract=config.contract,
        device=torch.device("cpu"),
        stop=StopRequest(),  # never asked: Ctrl-C ends the benchmark itself
    )
    images = f"{len(dataset.train)} of {config.contract.input_shape}"
    return chosen, {"data": dataset.name, "images": images}


@contextmanager
def _process(
    name: str, data: Data, chosen: Recipe, **settings: Any
) -> Iterator[Callable[[float], float]]:
    """A contestant that trains for the seconds it is asked to, and tells its figure: images per
    second, or what the pipeline costs."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_contestant, args=(theirs, name, data, chosen, settings))
    process.start()
    theirs.close()  # else its end would go unnoticed

    def ask(seconds: float) -> float:
        ours.send(seconds)
        try:
            return float(ours.recv())
        except EOFError:
            process.join()
            sys.exit(f"{name}: a contestant ended with code {process.exitcode}: {settings}")

    try:
        yield ask
    finally:
        with suppress(OSError):  # it has ended already
            ours.send(None)
        process.join()


def _contestant(
    pipe: Connection, name: str, data: Data, chosen: Recipe, settings: dict[str, Any]
) -> None:
    registry = load_registry()
    config, dataset = plan(registry, name, data.config, chosen)
    figure = _pipeline_cost if settings.pop("paired", False) else _rate
    around: AbstractContextManager[None] = nullcontext()
    if "workers" in settings:
        advance = _documented(registry, config, _loader(data, settings["workers"]))
    elif "batches" in settings:
        plain = replace(chosen, precision="fp32", layout="contiguous", compile="off")
        advance = _documented(registry, config, _held(config, dataset, plain))
    else:
        if settings.pop("memory", None) is None:
            keep_freed_memory()
        fused = settings.pop("optimizer", None) is None
        advance = _ours(registry, config, dataset, replace(chosen, **settings), fused=fused)
        around = deterministic(torch.device("cpu"))
    with around:
        while seconds := pipe.recv():
            found = figure(advance, seconds)
            _give_memory_back()
            pipe.send(found)


def _held(config: RunConfig, dataset: Dataset, recipe: Recipe) -> Iterator[Batch]:
    """Decoded once, augmented a batch at a time."""
    return _forever(lambda epoch: training_batches(dataset, config.contract, recipe).epoch(epoch))


def _ours(
    registry: Registry, config: RunConfig, dataset: Dataset, recipe: Recipe, *, fused: bool
) -> Advance:
    model = _model(registry, config).to(memory_format=memory_format(recipe))
    optimizer = registry.optimizers["adam"].build(
        [{"params": list(model.named_parameters())}], recipe
    )
    if not fused:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    architecture = registry.architectures[config.contract.architecture]
    step = Step(
        Trainee(model, optimizer),
        recipe,
        device=torch.device("cpu"),
        world=ALONE,
        input_shape=config.contract.input_shape,
        aux_weight=architecture.aux_weight,
    )
    batches = _held(config, dataset, recipe)

    def advance(batch: Batch | None = None) -> Batch:
        batch = batch or next(batches)
        step(batch, recipe.learning_rate)
        return batch

    return advance


def _loader(data: Data, workers: int) -> Iterator[Batch]:
    loader = DataLoader(
        data.documented,
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    for images, labels in _forever(lambda epoch: iter(loader)):
        yield Batch(images, labels, len(labels))


def _documented(registry: Registry, config: RunConfig, batches: Iterator[Batch]) -> Advance:
    """https://docs.pytorch.org/tutorials/beginner/basics/optimization_tutorial.html, as it is."""
    model = _model(registry, config)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_fn = nn.CrossEntropyLoss()

    def advance() -> Batch:
        batch = next(batches)
        images, labels = batch.images, batch.labels
        output = model(images)
        logits, *others = output if isinstance(output, tuple) else (output,)
        loss = loss_fn(logits, labels) + sum(0.4 * loss_fn(other, labels) for other in others)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return batch

    return advance


def _model(registry: Registry, config: RunConfig) -> nn.Module:
    torch.manual_seed(0)
    architecture = registry.architectures[config.contract.architecture]
    return build_model(architecture, config.contract.options()).train()


def _forever(epoch: Callable[[int], Iterator[T]]) -> Iterator[T]:
    number = 0
    while True:
        yield from epoch(number)
        number += 1


def _rate(advance: Advance, seconds: float) -> float:
    """Images per second over at least `seconds` and two batches, after one to get going."""
    advance()
    images, batches, started = 0, 0, perf_counter()
    while batches < 2 or perf_counter() - started < seconds:
        images += advance().total
        batches += 1
    return images / (perf_counter() - started)


def _pipeline_cost(advance: Advance, seconds: float) -> float:
    """Share of a step's time that it takes to have a new batch, over at least five pairs.

    Batches that are prepared in one go are counted all. The shorter one at the end of an
    epoch is left out, for its step is another one. The memory that was given back after the
    turn before is asked for again in the first pair, which is not counted.
    """
    while (held := advance()).total < BATCH:
        pass
    advance()
    advance(held)
    together = max(1, PREPARED_BYTES // held.images.nbytes)
    spent = {"new": 0.0, "held": 0.0}
    pairs, started = 0, perf_counter()
    while pairs < 5 or pairs % together or perf_counter() - started < seconds:
        before = perf_counter()
        new = advance()
        between = perf_counter()
        if new.total == BATCH:
            advance(held)
            spent["new"] += between - before
            spent["held"] += perf_counter() - between
            pairs += 1
    return 1 - spent["held"] / spent["new"]


def _give_memory_back() -> None:
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _line(name: str, result: dict[str, Any]) -> str:
    rates = ", ".join(f"{key} {rate:,.0f}" for key, rate in result["images_per_second"].items())
    ratio, cost = result["ratio"], result["pipeline_cost"]
    return (
        f"{name:<20} {ratio['median']:.2f}x ({ratio['min']:.2f}-{ratio['max']:.2f}), pipeline "
        f"{100 * cost['median']:.1f} % ({100 * cost['min']:.1f} to {100 * cost['max']:.1f}), "
        f"{result['chosen']}; images/s: {rates}"
    )


if __name__ == "__main__":
    main()
