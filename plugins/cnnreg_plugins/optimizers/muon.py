"""Muon: momentum whose step is the nearest matrix with orthonormal rows or columns.

Of Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. torch's own takes
matrices alone; this one takes filters of convolutions, each flattened to a row. As in
"Muon is Scalable for LLM Training", https://arxiv.org/abs/2502.16982, steps are as long
as AdamW's usually are, so that both share a rate; AdamW moves all that is no filter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

QUINTIC = 3.4445, -4.7750, 2.0315  # Jordan's, steepest at 0
ITERATIONS = 5
USUAL = 0.2  # root mean square of AdamW's steps, in rates
BETAS = 0.9, 0.99
EPSILON = 1e-8


class Muon(torch.optim.Optimizer):
    """`weight_decay` is apart from the gradient, for filters and for the rest."""

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.1
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                if is_filter(parameter):
                    update = self._orthogonal(parameter, group["momentum"])
                else:
                    update = self._adam(parameter)
                parameter.add_(update, alpha=-group["lr"])
        return loss

    def _orthogonal(self, parameter: Tensor, momentum: float) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(mean, momentum)
        rows = ahead.flatten(1)
        length: float = USUAL * max(rows.shape) ** 0.5
        return orthogonalised(rows).mul_(length).view(ahead.shape)

    def _adam(self, parameter: Tensor) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(gradient)
            state["exp_avg_sq"] = torch.zeros_like(gradient)
        state["step"] += 1
        number = state["step"].item()
        mean = state["exp_avg"].lerp_(gradient, 1 - BETAS[0])
        square = state["exp_avg_sq"].lerp_(gradient.square(), 1 - BETAS[1])
        scale = (square / (1 - BETAS[1] ** number)).sqrt_().add_(EPSILON)
        update: Tensor = mean / (1 - BETAS[0] ** number)
        return update.div_(scale)


def is_filter(parameter: Tensor) -> bool:
    """Not so those of one input channel, as in depthwise convolutions: they mix none."""
    return parameter.ndim == 4 and parameter.shape[1] > 1


def orthogonalised(matrix: Tensor) -> Tensor:
    """About U V^T of the matrix U S V^T [rows, columns], by Newton and Schulz's iteration.

    "About": singular values end between 0.68 and 1.21, which serves as well as 1, but for those
    that begin near 0.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    a, b, c = QUINTIC
    result: Tensor = wide / (wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = result @ result.T
        result = a * result + (b * gram + c * gram @ gram) @ result
    return result if wide is matrix else result.T
