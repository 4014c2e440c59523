"""One optimizer step: forward, loss, backward, update."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel

from cnnreg.recipe import Recipe

from .distributed.world import World
from .feeding.batches import Batch
from .groups import RATE_SHARE


@dataclass(frozen=True, slots=True)
class Trainee:
    """The live objects of a training: what a step changes, and a checkpoint holds."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None = None

    @property
    def result(self) -> nn.Module:
        """The network to judge and to keep: the averaged one if there is one."""
        return self.average.module if self.average else self.model


def averaged(model: nn.Module, decay: float) -> AveragedModel | None:
    """An exponential moving average of weights and statistics; None for no decay."""
    if not decay:
        return None
    return AveragedModel(model, multi_avg_fn=partial(_average, decay), use_buffers=True)


@torch.no_grad()
def _average(decay: float, means: list[Tensor], values: list[Tensor], steps: Tensor) -> None:
    """Move the means of one dtype towards the values, after `steps` steps before this one.

    With less decay at first: else what a short training began with would weigh most
    (TensorFlow's ExponentialMovingAverage has the same rule). Counters are copied.
    """
    if not means[0].is_floating_point():
        torch._foreach_copy_(means, values)
        return
    done = int(steps)
    torch._foreach_lerp_(means, values, 1 - min(decay, (1 + done) / (10 + done)))


class Step:
    """Called with a batch and a learning rate, it advances `trainee` by one step."""

    def __init__(
        self,
        trainee: Trainee,
        recipe: Recipe,
        *,
        name: str = "",
        device: torch.device,
        world: World,
        input_shape: tuple[int, ...],
        aux_weight: float = 0.0,
        class_weights: Tensor | None = None,
    ) -> None:
        self.trainee = trainee
        self.recipe = recipe
        self.title = title(name, recipe)
        self.device = device
        self.world = world
        self.input_shape = input_shape
        self.aux_weight = aux_weight
        self.class_weights = None if class_weights is None else class_weights.to(device)
        self.parameters = [p for group in trainee.optimizer.param_groups for p in group["params"]]
        self.compiled = _compile(trainee.model) if recipe.compile == "on" else None

    def __call__(self, batch: Batch, rate: float) -> tuple[float, int]:
        """Returns the sum of losses over the batch's images, and how many were right."""
        optimizer = self.trainee.optimizer
        optimizer.zero_grad()
        loss_sum, correct = 0.0, 0
        for part in batch.split(self.recipe.accumulate, self.world):
            images, labels = part.images.to(self.device), part.labels.to(self.device)
            with autocast(self.recipe.precision, self.device):
                outputs = heads(self._forward(images))
            loss = self._losses(outputs, part, labels).sum()
            # Divided by the whole batch, over all parts and processes: their gradients add up.
            (loss / batch.total).backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.item()
            largest = part.largest_labels.to(self.device)
            correct += int((outputs[0].argmax(1) == largest).sum())
        self.world.sum_gradients(self.parameters)
        if self.recipe.clip:
            clip_grad_norm_(self.parameters, self.recipe.clip)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get(RATE_SHARE, 1.0)
        optimizer.step()
        if self.trainee.average:
            self.trainee.average.update_parameters(self.trainee.model)
        return loss_sum, correct

    def _forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        # Compiled for parts of whole batches, of whole images, alone: each other shape, of an odd
        # last batch or of images that still grow, would compile it again, up to torch's limit.
        shares = self.recipe.accumulate * self.world.size
        whole = abs(len(images) * shares - self.recipe.batch_size) < shares
        whole = whole and images.shape[1:] == self.input_shape
        network = self.trainee.model if self.compiled is None or not whole else self.compiled
        output: Tensor | tuple[Tensor, ...] = network(images)
        return output

    def _losses(self, outputs: tuple[Tensor, ...], batch: Batch, labels: Tensor) -> Tensor:
        """The loss of each image [N]: the logits', and `aux_weight` of each further head's."""
        losses = self._criterion(outputs[0], batch, labels)
        for output in outputs[1:]:
            losses = losses + self.aux_weight * self._criterion(output, batch, labels)
        return losses

    def _criterion(self, logits: Tensor, batch: Batch, labels: Tensor) -> Tensor:
        losses = self._cross_entropy(logits, labels)
        if batch.other_labels is None or batch.share is None:
            return losses
        others = self._cross_entropy(logits, batch.other_labels.to(self.device))
        return torch.lerp(others, losses, batch.share.to(self.device))

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothing = self.recipe.label_smoothing
        losses = functional.cross_entropy(
            logits.float(), labels, reduction="none", label_smoothing=smoothing
        )
        return losses if self.class_weights is None else losses * self.class_weights[labels]


def title(name: str, recipe: Recipe) -> str:
    """What a step that fails is called by."""
    return f"Training '{name}' with '{recipe.optimizer}'"


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """A weight for each class that makes all count alike, 1 on average over the images."""
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return len(labels) / (classes * counts)


def heads(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The logits, then those of auxiliary heads if the network has any."""
    outputs = output if isinstance(output, tuple) else (output,)
    for other in outputs:
        if not isinstance(other, Tensor):
            raise TypeError(f"expected a tensor or a tuple of tensors, got {type(other).__name__}")
    return outputs


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _compile(model: nn.Module) -> nn.Module:
    compiled: nn.Module = torch.compile(model, dynamic=False)  # type: ignore[assignment]
    return compiled
