"""The checks of an architecture for which it must really compute, on small images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnreg.specs import ArchitectureSpec

from .check import ViolationError, require

if TYPE_CHECKING:
    import torch

LEARNING_SIZE = 16  # pixels; networks that need more get their least
LEARNING_BATCH = 8
LEARNING_RATE = 1e-3  # of Adam, at the most
TRAINED_BATCHES = 3  # until what a network gathers in training shows
LEARNING_STEPS = 30  # at the most
LEARNING_GOAL = 0.95  # of the first loss: a small network without norm is slow


def built(spec: ArchitectureSpec, **options: Any) -> torch.nn.Module:
    import torch

    model = spec.build(spec.options(**options))
    require(isinstance(model, torch.nn.Module), f"build returned {type(model).__name__}")
    return model


def images_of(spec: ArchitectureSpec, count: int) -> tuple[torch.Tensor, torch.Tensor]:
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
        return built(spec, input_shape=(3, size, size), num_classes=10, dropout=dropout)


def can_be_saved(spec: ArchitectureSpec) -> str:
    from cnnreg.networks.savable import unsavable

    model = build_small(spec)
    complaint = unsavable(model)
    require(not complaint, complaint.removesuffix("."))
    return f"{len(model.state_dict())} tensors, each by its name"


def state_is_whole(spec: ArchitectureSpec) -> str:
    """The saved tensors are all there is: same seed, same net; loaded net, same answers.

    Also of what training leaves behind: statistics belong among the tensors that are saved.
    """
    import torch

    model, twin, other = build_small(spec), build_small(spec), build_small(spec, seed=1)
    drawn = model.state_dict()
    for name, tensor in twin.state_dict().items():
        require(torch.equal(tensor, drawn[name]), f"{name} differs between builds from one seed")
    _refuse_own_seeds(spec)
    images, _ = images_of(spec, LEARNING_BATCH)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for _ in range(TRAINED_BATCHES):
            model.train()(images)
        other.load_state_dict(model.state_dict(), strict=True)
        same = torch.equal(model.eval()(images), other.eval()(images))
    require(same, "answers differ after load_state_dict")
    return "loads strictly and answers the same; one seed, one network"


def _refuse_own_seeds(spec: ArchitectureSpec) -> None:
    import torch

    size = max(spec.min_size, LEARNING_SIZE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        built(spec, input_shape=(3, size, size), num_classes=10)
        require(torch.initial_seed() == 1, "build sets a seed: all trainings would begin alike")


def evaluation_is_a_function(spec: ArchitectureSpec) -> str:
    """Of each image alone: no randomness, no glance at the rest of the batch."""
    import torch

    model = build_small(spec).eval()
    images, _ = images_of(spec, 3)
    with torch.no_grad():
        together, again, alone = model(images), model(images), model(images[:1])
    require(torch.equal(together, again), "two passes over the same images differ")
    require(bool(torch.isfinite(together).all()), "logits are not finite")
    scale = max(float(together.abs().max()), 1e-6)
    difference = float((together[:1] - alone).abs().max()) / scale
    require(difference < 1e-3, f"an image's answer depends on its batch, by {difference:.1%}")
    return "the same image gives the same answer"


def learns(spec: ArchitectureSpec) -> str:
    """A few steps of Adam on one batch lower the loss, and every parameter takes part.

    The recipe's rate, which is another optimizer's or a peak, counts where it is a low one.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_small(spec, dropout=0.0).train()  # chance must not pass for learning
        images, labels = images_of(spec, LEARNING_BATCH)
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
