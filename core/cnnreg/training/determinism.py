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

from .settings import apply, settings

EXACT = {
    "deterministic mode": (True, True),  # what has no such form warns
    "filling of fresh memory": False,  # that is for debugging, and would cost time
    "deterministic cuDNN": True,
    "cuDNN benchmarking": False,
    "TF32 in convolutions": False,
}


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """What is computed inside can be computed again, bit by bit. Settings are put back after."""
    if device.type == "cuda":  # read when cuBLAS is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    known = settings()
    before = {name: known[name] for name in EXACT if name in known}
    apply(EXACT)
    try:
        yield
    finally:
        apply(before)
