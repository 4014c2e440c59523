"""The checks that an architecture must pass, whoever wrote it.

Shapes and counts are taken on torch's meta device, so that large networks cost no
more than small ones; what must really compute does so on a small image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnreg.errors import one_line
from cnnreg.specs import ArchitectureSpec, Shape

from .check import Check, ViolationError, require

if TYPE_CHECKING:
    import torch

USUAL_SIZE = 32

LEARNING_SIZE = 16  # pixels; networks that need more get their least
LEARNING_BATCH = 8
LEARNING_RATE = 1e-3  # of Adam, at the most
TRAINED_BATCHES = 3  # until what a network gathers in training shows
LEARNING_STEPS = 30  # at the most
LEARNING_GOAL = 0.95  # of the first loss: a small network without norm is slow


# --- On the meta device ---------------------------------------------------------------


def _build(spec: ArchitectureSpec, **options: Any) -> torch.nn.Module:
    from cnnreg.networks.weightless import built_weightless

    return built_weightless(lambda: _built(spec, **options))


def _built(spec: ArchitectureSpec, **options: Any) -> torch.nn.Module:
    import torch

    model = spec.build(spec.options(**options))
    require(isinstance(model, torch.nn.Module), f"build returned {type(model).__name__}")
    return model


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

    from cnnreg.networks.weightless import weightless

    given = f"{'x'.join(map(str, (batch, *shape)))} in {'training' if training else 'evaluation'}"
    model = _build(spec, input_shape=shape, num_classes=classes).train(training)
    try:
        with torch.no_grad(), weightless():
            output = model(torch.empty(batch, *shape))
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
        images, _ = _images(spec, LEARNING_BATCH)
        first, second = (heads(model(images))[0] for _ in range(2))
    return not torch.equal(first, second)


# --- On real tensors ------------------------------------------------------------------


def _images(spec: ArchitectureSpec, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with labels: the dark images are of class 0, the bright ones of class 1.

    In channels-last memory, as in training and exports: flatten(1) can be taken of its features,
    view(n, -1) cannot.
    """
    import torch

    size = max(spec.min_size, LEARNING_SIZE)
    noise = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % 2
    images = 0.5 * noise + (2 * labels - 1).view(-1, 1, 1, 1)
    return images.contiguous(memory_format=torch.channels_last), labels


def build_small(
    spec: ArchitectureSpec,
    *,
    size: int = LEARNING_SIZE,
    seed: int = 0,
    dropout: float | None = None,
) -> torch.nn.Module:
    """The form for small images, three channels and ten classes, from a seed."""
    import torch

    size = max(spec.min_size, size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _built(spec, input_shape=(3, size, size), num_classes=10, dropout=dropout)


def _leaves_torch_alone(spec: ArchitectureSpec) -> str:
    from cnnreg.training.settings import settings

    before = settings()
    build_small(spec)
    after = settings()
    changed = [name for name in before if before[name] != after[name]]
    require(not changed, f"building changes torch's {', '.join(changed)}")
    return "building leaves torch's settings alone"


def _can_be_saved(spec: ArchitectureSpec) -> str:
    from cnnreg.networks.savable import unsavable

    model = build_small(spec)
    complaint = unsavable(model)
    require(not complaint, complaint.removesuffix("."))
    return f"{len(model.state_dict())} tensors, each by its name"


def _state_is_whole(spec: ArchitectureSpec) -> str:
    """The saved tensors are all there is: same seed, same net; loaded net, same answers.

    Also of what training leaves behind: statistics belong among the tensors that are saved.
    """
    import torch

    model, twin, other = build_small(spec), build_small(spec), build_small(spec, seed=1)
    drawn = model.state_dict()
    for name, tensor in twin.state_dict().items():
        require(torch.equal(tensor, drawn[name]), f"{name} differs between builds from one seed")
    images, _ = _images(spec, LEARNING_BATCH)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for _ in range(TRAINED_BATCHES):
            model.train()(images)
        other.load_state_dict(model.state_dict(), strict=True)
        same = torch.equal(model.eval()(images), other.eval()(images))
    require(same, "answers differ after load_state_dict")
    return "loads strictly and answers the same; one seed, one network"


def _evaluation_is_a_function(spec: ArchitectureSpec) -> str:
    """Of each image alone: no randomness, no glance at the rest of the batch."""
    import torch

    model = build_small(spec).eval()
    images, _ = _images(spec, 3)
    with torch.no_grad():
        together, again, alone = model(images), model(images), model(images[:1])
    require(torch.equal(together, again), "two passes over the same images differ")
    require(bool(torch.isfinite(together).all()), "logits are not finite")
    scale = max(float(together.abs().max()), 1e-6)
    difference = float((together[:1] - alone).abs().max()) / scale
    require(difference < 1e-3, f"an image's answer depends on its batch, by {difference:.1%}")
    return "the same image gives the same answer"


def _learns(spec: ArchitectureSpec) -> str:
    """A few steps of Adam on one batch lower the loss, and every parameter takes part.

    The recipe's rate, which is another optimizer's or a peak, counts where it is a low one.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_small(spec, dropout=0.0).train()  # chance must not pass for learning
        images, labels = _images(spec, LEARNING_BATCH)
        rate = min(spec.recipe.learning_rate, LEARNING_RATE)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        losses: list[float] = []
        for _ in range(LEARNING_STEPS):
            loss = _loss(model(images), labels, spec.aux_weight)
            losses.append(loss.item())
            if losses[-1] < LEARNING_GOAL * losses[0]:
                return f"loss {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses) - 1} steps"
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
            require(not idle, f"no gradient reaches {', '.join(idle[:3])}")
    raise ViolationError(
        f"loss {losses[0]:.3f}, after {LEARNING_STEPS} steps still {losses[-1]:.3f}"
    )


def _loss(output: Any, labels: torch.Tensor, aux_weight: float) -> torch.Tensor:
    from torch.nn.functional import cross_entropy

    from cnnreg.training.step import heads

    main, *auxiliary = [cross_entropy(head, labels) for head in heads(output)]
    return main + aux_weight * sum(auxiliary, start=main.new_zeros(()))


CHECKS = (
    Check(name="builds", run=_returns_a_module, basic=True),
    Check(name="parameters", run=_parameters_are_true),
    Check(name="macs", run=_macs_are_true),
    Check(name="shapes", run=_shapes_are_right, basic=True, computes=True),
    Check(name="dropout", run=_dropout_is_honoured),
    Check(name="global state", run=_leaves_torch_alone, computes=True),
    Check(name="savable", run=_can_be_saved, computes=True),
    Check(name="whole state", run=_state_is_whole, computes=True),
    Check(name="evaluation", run=_evaluation_is_a_function, computes=True),
    Check(name="learns", run=_learns, computes=True),
)
"""Every check, cheap ones first."""
