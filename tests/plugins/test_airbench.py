"""airbench: its head pools without an operation that CUDA computes differently each time."""

from __future__ import annotations

import torch
from torch.nn import functional

from cnnreg_plugins.airbench.model import LOGIT_SCALE, Head


def test_the_head_takes_the_strongest_response_by_a_deterministic_operation():
    head, x = Head(8, 3), torch.randn(2, 8, 5, 4, requires_grad=True)
    logits = head(x)
    expected = head.fc(functional.adaptive_max_pool2d(x, 1).flatten(1)) * LOGIT_SCALE
    assert torch.equal(logits, expected)
    (ours,), (theirs,) = (torch.autograd.grad(y.sum(), x) for y in (logits, expected))
    assert torch.equal(ours, theirs)
    assert "AmaxBackward0" in operations(logits)
    assert "AdaptiveMaxPool2DBackward0" not in operations(logits)
    assert "AdaptiveMaxPool2DBackward0" in operations(expected)


def operations(tensor: torch.Tensor) -> set[str]:
    found, waiting = set(), [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        found.add(node.name())
        waiting += [parent for parent, _ in node.next_functions if parent is not None]
    return found
