"""Batch norm over the images of all processes, as one process would see them.

torch's own SyncBatchNorm runs on GPUs alone. Parameters, buffers and their names
are those of the module it takes the place of, so checkpoints fit either.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from .world import World


def synchronised(model: nn.Module, world: World) -> nn.Module:
    """`model` with each of its batch norms made one over all processes, in place."""
    if world.size == 1:
        return model
    if isinstance(model, _BatchNorm):
        return SyncNorm(model, world)
    made: dict[nn.Module, SyncNorm] = {}  # one that is used in two places stays one
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):
            if isinstance(child, _BatchNorm):
                made[child] = made.get(child) or SyncNorm(child, world)
                setattr(module, name, made[child])
    return model


class SyncNorm(_BatchNorm):
    """A batch norm whose mean and variance, in training, are those of all processes' images."""

    def __init__(self, norm: _BatchNorm, world: World) -> None:
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.training = norm.training
        self.world = world

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        pass  # the network was tried with the norm this one replaces

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return super().forward(images)
        normalised: Tensor = self._normalise(images)
        return normalised

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # messages cannot be compiled
    def _normalise(self, images: Tensor) -> Tensor:
        mean, variance, count = _moments(images.detach(), self.world)
        if self.track_running_stats:
            self._follow(mean, variance * count / (count - 1).clamp(min=1))
        weight = self.weight if self.affine else torch.ones_like(mean)
        bias = self.bias if self.affine else torch.zeros_like(mean)
        result: Tensor = _Normalise.apply(
            images, weight, bias, mean, variance, count, self.eps, self.world
        )
        return result

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """The running statistics, as nn.BatchNorm2d keeps them; `variance` is unbiased."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # the mean over all batches so far
            share = 1 / int(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def _moments(images: Tensor, world: World) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each channel [C], and the count of values in one [1].

    Sums of squares lose digits where the mean is large; in float64 they have them to spare.
    """
    axes = [0, *range(2, images.ndim)]
    precise = torch.promote_types(images.dtype, torch.float32)
    variance, mean = torch.var_mean(images.to(precise), axes, correction=0)
    variance, mean = variance.double(), mean.double()
    count = mean.new_full((1,), images.numel() // images.shape[1])
    sums = torch.cat([count, count * mean, count * (variance + mean**2)])
    world.sum_in_place(sums)
    count = sums[:1]
    mean, square = (sums[1:] / count).chunk(2)
    return mean.to(precise), (square - mean**2).clamp(min=0).to(precise), count.to(precise)


class _Normalise(Function):
    """(x - mean) / deviation * weight + bias, whose mean and deviation depend on every x."""

    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes them by position
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
        world: World,
    ) -> Tensor:
        ctx.save_for_backward(images, weight, mean, variance, count)
        ctx.eps, ctx.world = eps, world
        return functional.batch_norm(images, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """As for one process, with the sums over the batch taken over all of them.

        dx = w / s * (dy - sum(dy) / n - x' * sum(dy * x') / n), x' the normalised x.
        """
        images, weight, mean, variance, count = ctx.saved_tensors
        # The first term, and this process's sums, from torch's fused kernel for fixed statistics.
        direct, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, images, weight, mean, variance, None, None, False, ctx.eps, [True] * 3
        )
        sums = torch.cat([of_bias, of_weight])
        ctx.world.sum_in_place(sums)
        of_all_bias, of_all_weight = (sums / count).chunk(2)
        inverse = (variance + ctx.eps).rsqrt()
        slope = weight * inverse * inverse * of_all_weight
        offset = weight * inverse * of_all_bias - slope * mean
        shape = [1, -1, *[1] * (images.ndim - 2)]
        direct -= torch.addcmul(offset.view(shape), images, slope.view(shape)).to(direct.dtype)
        return direct, of_weight, of_bias, *[None] * 5
