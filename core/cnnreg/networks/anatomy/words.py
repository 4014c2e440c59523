"""A layer and a block in the words of papers: `3x3,64`, `Bottleneck 1x1,64 - 3x3,64 - 1x1,256`."""

from __future__ import annotations

from torch import nn

from .calls import CONVOLUTIONS, Call


def describe(call: Call) -> str:
    layers = call.layers()
    if len(layers) == 1:
        module = layers[0].module
        return f"Conv {_word(layers[0])}" if isinstance(module, CONVOLUTIONS) else _word(layers[0])
    chains = [" - ".join(map(_word, branch)) for branch in call.branches()]
    kind = type(call.module).__name__.lstrip("_")
    suffix = "" if call.order is not None else " (training only)"
    return f"{kind} {' | '.join(chains)}{suffix}"


def kernel(layer: Call) -> str:
    if isinstance(layer.module, nn.AdaptiveAvgPool2d):
        return "x".join(map(str, layer.input[1:]))
    size = getattr(layer.module, "kernel_size", "")
    return f"{size}x{size}" if isinstance(size, int) else "x".join(map(str, size))


def stride(layer: Call) -> int:
    step = getattr(layer.module, "stride", 1)
    return int(step if isinstance(step, int) else max(step))


def _word(layer: Call) -> str:
    module = layer.module
    if isinstance(module, CONVOLUTIONS):
        depthwise = module.groups == module.in_channels > 1
        groups = f" ({module.groups} groups)" if module.groups > 1 and not depthwise else ""
        return f"{'dw' if depthwise else ''}{kernel(layer)},{module.out_channels}{groups}"
    if isinstance(module, nn.Linear):
        return f"Linear {module.out_features}"
    if isinstance(module, nn.AdaptiveAvgPool2d) and layer.output[1:] == (1, 1):
        return "Global average pool"
    return f"{type(module).__name__.removesuffix('2d')} {kernel(layer)}".strip()
