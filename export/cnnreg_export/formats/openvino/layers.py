"""Which operators of an OpenVINO model the network's layers became.

Names do not tell: a batch norm folded into a convolution leaves something like
`Multiply_11827`. Weights do, for folding scales whole output channels: two layers are one
where each channel points the same way, or the opposite one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = ("Convolution", "GroupConvolution", "MatMul")
ALIKE = 1 - 1e-4  # cosine


def operators_by_layer(model: Any, network: nn.Module) -> dict[str, list[str]]:
    """Names of the operators that each convolution and linear layer of `network` became."""
    layers = {
        name: _directions(module.weight.detach().numpy())
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    }
    found = dict[str, list[str]]()
    for operator in model.get_ordered_ops():
        if operator.get_type_name() in KINDS and (weight := _weight(operator)) is not None:
            channels = _directions(weight)
            for layer, others in layers.items():
                if channels.shape == others.shape and _alike(channels, others):
                    found.setdefault(layer, []).append(operator.get_friendly_name())
    return found


def _weight(operator: Any) -> NDArray[np.float32] | None:
    """[outputs, ...], or None where it is computed."""
    shape = list(operator.input_value(1).get_shape())
    origin = operator.input_value(1).get_node()
    while origin.get_type_name() in {"Convert", "Reshape"}:
        origin = origin.input_value(0).get_node()
    if origin.get_type_name() != "Constant":
        return None
    weight: NDArray[np.float32] = origin.data.reshape(shape).astype(np.float32)
    if operator.get_type_name() == "GroupConvolution":
        return weight.reshape(shape[0] * shape[1], *shape[2:])
    if operator.get_type_name() == "MatMul" and not operator.get_attributes()["transpose_b"]:
        return weight.T
    return weight


def _directions(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each output channel as a vector of length 1, or 0 where it is empty: [outputs, inputs]."""
    channels = weight.reshape(len(weight), -1)
    lengths = np.linalg.norm(channels, axis=1, keepdims=True)
    return (channels / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _alike(channels: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    cosines = np.abs((channels * others).sum(1))
    # A channel that batch norm silences is empty in the model alone.
    return bool(((cosines > ALIKE) | ~channels.any(1)).all())
