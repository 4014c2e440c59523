"""torch's optimizers by name, each with torch's defaults beside what the recipe sets; Muon.

RMSprop's mean decays by .99 there, not by Hinton's .9. The rates are peaks of one cycle, chosen on
validation images of CIFAR-10 (benchmarks/README.md, "A rate that comes down"); of two as good the
lower one. nesterov shares momentum's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cnnreg import OptimizerSpec, Recipe, UsageError, hookimpl

if TYPE_CHECKING:
    import torch


def build(
    torch_name: str,
    parameters: list[dict[str, Any]],
    recipe: Recipe,
    *,
    fused: bool = True,
    momentum: bool = False,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """`fused` makes one pass over memory instead of one an operation: Adam's step takes a fifth."""
    import torch

    if nesterov and not recipe.momentum:
        raise UsageError("nesterov looks ahead by its momentum, which is 0.", hint="--momentum 0.9")
    options: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if fused:
        options["fused"] = True
    if momentum:
        options |= {"momentum": recipe.momentum, "nesterov": nesterov}
    optimizer: torch.optim.Optimizer = getattr(torch.optim, torch_name)(parameters, **options)
    return optimizer


def build_muon(parameters: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    from .muon import Muon

    return Muon(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )


def _spec(
    name: str, torch_name: str, summary: str, rate: float = 3e-3, **options: Any
) -> OptimizerSpec:
    bound = partial(build, torch_name, **options)
    return OptimizerSpec(name=name, summary=summary, build=bound, learning_rate=rate)


@hookimpl
def cnnreg_optimizers() -> list[OptimizerSpec]:
    return [
        _spec("adam", "Adam", "step sizes from running means of gradient and square; the default"),
        _spec("adamw", "AdamW", "Adam with weight decay apart from the gradient"),
        _spec("adagrad", "Adagrad", "step sizes that shrink with the sum of squares", 0.01),
        _spec("rmsprop", "RMSprop", "step sizes from a running mean of squares", 1e-3, fused=False),
        _spec("sgd", "SGD", "plain stochastic gradient descent", 0.1),
        _spec("momentum", "SGD", "SGD with momentum", 0.03, momentum=True),
        _spec("nesterov", "SGD", "momentum that looks ahead", 0.03, momentum=True, nesterov=True),
        OptimizerSpec(
            name="muon",
            summary="orthogonal steps for filters, AdamW for the rest",
            build=build_muon,
        ),
    ]
