"""The checks that an architecture must pass, whoever wrote it.

Shapes and counts are taken on torch's meta device, so that large networks cost no
more than small ones; what must really compute does so on a small image.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from cnnreg.errors import one_line
from cnnreg.registry import Registry
from cnnreg.specs import ArchitectureSpec, Shape

from .check import Check, ViolationError, require
from .computing import (
    LEARNING_BATCH,
    build_small,
    built,
    can_be_saved,
    evaluation_is_a_function,
    images_of,
    learns,
    state_is_whole,
)

if TYPE_CHECKING:
    import torch

USUAL_SIZE = 32


def _build(spec: ArchitectureSpec, **options: Any) -> torch.nn.Module:
    from cnnreg.networks.weightless import built_weightless

    return built_weightless(lambda: built(spec, **options))


def _leaves_torch_alone(spec: ArchitectureSpec) -> str:
    """The first of all: what modules change when they are imported would go unseen later."""
    from cnnreg.training.settings import settings

    before = settings()
    with suppress(Exception):  # the next check tells
        _build(spec)
    after = settings()
    changed = [name for name in before if before[name] != after[name]]
    require(not changed, f"building changes torch's {', '.join(changed)}")
    return "building leaves torch's settings alone"


def _returns_a_module(spec: ArchitectureSpec) -> str:
    return f"build returns {type(_build(spec)).__name__}"


def _parameters_are_true(spec: ArchitectureSpec) -> str:
    from cnnreg.networks.anatomy import count_parameters

    found = count_parameters(_build(spec))
    require(found == spec.parameters, f"declares {spec.parameters:,} parameters, has {found:,}")
    return f"{found:,} parameters"


def _macs_are_true(spec: ArchitectureSpec) -> str:
    from cnnreg.networks.anatomy import count_macs

    found = count_macs(_build(spec), spec.input_shape)
    require(found == spec.macs, f"declares {spec.macs:,} MACs, needs {found:,}")
    return f"{found:,} MACs"


def _shapes_are_right(spec: ArchitectureSpec) -> str:
    usual = max(USUAL_SIZE, spec.min_size)
    default = spec.input_shape[1:]
    oblong = (usual, usual + usual // 2)
    squares = [spec.min_size, usual]
    if spec.small_form:  # the least size that the standard form gets
        squares.append(max(spec.small_below, spec.min_size))
    sizes = dict.fromkeys([*((size, size) for size in squares), default])
    for size in sizes:
        _check_shape(spec, (1, *size), classes=2, batch=1)
        _check_shape(spec, (3, *size), classes=10, batch=3, training=True)
    _check_shape(spec, (3, *oblong), classes=10, batch=2)
    shown = ", ".join(f"{height}x{width}" for height, width in (*sizes, oblong))
    return f"[N, classes] for 1 and 3 channels of {shown}"


def _check_shape(
    spec: ArchitectureSpec, shape: Shape, *, classes: int, batch: int, training: bool = False
) -> None:
    import torch

    from cnnreg.networks.weightless import ran

    given = f"{'x'.join(map(str, (batch, *shape)))} in {'training' if training else 'evaluation'}"
    model = _build(spec, input_shape=shape, num_classes=classes).train(training)
    try:
        with torch.no_grad():
            output = ran(model, (batch, *shape), lambda model, images: model(images))
    except Exception as error:
        raise ViolationError(f"{given} fails: {one_line(error)}") from error
    heads = output if training and isinstance(output, tuple) else (output,)
    for head in heads:
        found = tuple(head.shape) if isinstance(head, torch.Tensor) else type(head).__name__
        require(found == (batch, classes), f"{given} gave {found}, not {(batch, classes)}")
    require(len(heads) == 1 or spec.aux_weight > 0, "has auxiliary heads, but aux_weight is 0")


def _dropout_is_honoured(spec: ArchitectureSpec) -> str:
    from torch.nn.modules.dropout import _DropoutNd

    for dropout in (0.0, 0.5):
        model = _build(spec, dropout=dropout)
        rates = {module.p for module in model.modules() if isinstance(module, _DropoutNd)}
        require(rates <= {dropout}, f"dropout={dropout} left dropout layers of {sorted(rates)}")
    if rates:
        return "options.dropout sets every dropout layer"
    require(_drops(spec), "dropout=0.5 changes nothing in training: there is no dropout")
    return "options.dropout makes training random"


def _drops(spec: ArchitectureSpec) -> bool:
    """Whether two passes over the same images differ: a network need not drop by layers."""
    import torch

    from cnnreg.training.step import heads

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = build_small(spec, dropout=0.5).train()
        images, _ = images_of(spec, LEARNING_BATCH)
        first, second = (heads(model(images))[0] for _ in range(2))
    return not torch.equal(first, second)


def recipe_check(registry: Registry) -> Check[ArchitectureSpec]:
    return Check(name="recipe", run=partial(_recipe_can_be_followed, registry))


def _recipe_can_be_followed(registry: Registry, spec: ArchitectureSpec) -> str:
    name = spec.recipe.optimizer
    require(name in registry.optimizers, f"the recipe's optimizer '{name}' is not installed")
    return f"trains with {name}"


CHECKS = (
    Check(name="global state", run=_leaves_torch_alone),
    Check(name="builds", run=_returns_a_module, basic=True),
    Check(name="parameters", run=_parameters_are_true),
    Check(name="macs", run=_macs_are_true),
    Check(name="shapes", run=_shapes_are_right, basic=True),
    Check(name="dropout", run=_dropout_is_honoured),
    Check(name="savable", run=can_be_saved),
    Check(name="whole state", run=state_is_whole),
    Check(name="evaluation", run=evaluation_is_a_function),
    Check(name="learns", run=learns),
)
"""Every check, cheap ones first."""
