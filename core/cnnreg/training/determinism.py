"""Arithmetic that gives the same bits each time, on one machine with one number of threads.

On processors torch's kernels for convolution, matrix products, norms and pooling are
deterministic as they are. What `use_deterministic_algorithms` swaps there, scatter and
index sums, is in no network here, so it costs nothing and is for those of plugins; the
seconds that its import of the compiler takes are those that torch's optimizers spend at
their first step anyway. On CUDA it picks other convolutions and sums, which may be
slower. An operation without a deterministic form warns, once.

Convolutions on NVIDIA GPUs would take TF32, of 10 bits, for fp32; the fast precision
there is bf16, which is asked for or measured, and fp32 is what it says.
https://docs.pytorch.org/docs/stable/notes/randomness.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """What is computed inside can be computed again, bit by bit. Settings are put back after."""
    if device.type == "cuda":  # read when cuBLAS is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = {
        "enabled": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "cudnn": torch.backends.cudnn.deterministic,
        "benchmark": torch.backends.cudnn.benchmark,
        # `allow_tf32` cannot be read, though set, where a program has used the newer setting.
        "tf32": torch.backends.cudnn.conv.fp32_precision == "tf32",  # type: ignore[attr-defined]
    }
    # Filling fresh memory is for debugging, and would cost time.
    _set(enabled=True, warn_only=True, fill=False, cudnn=True, benchmark=False, tf32=False)
    try:
        yield
    finally:
        _set(**before)


def _set(
    *, enabled: bool, warn_only: bool, fill: bool, cudnn: bool, benchmark: bool, tf32: bool
) -> None:
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = cudnn
    torch.backends.cudnn.benchmark = benchmark
    torch.backends.cudnn.allow_tf32 = tf32
