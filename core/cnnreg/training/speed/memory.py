"""Memory that a step frees is kept for the next one.

A training step asks for the same large pieces of memory again and again. glibc hands
pieces above a threshold back to the system each time they are freed, and the system
clears every page before it gives them out again: for small networks that is a third of
a step's time. Other C libraries, Windows's and macOS's among them, are left alone.
"""

from __future__ import annotations

import ctypes
import os
import platform

from cnnreg.files import WINDOWS

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEEP = 2**31 - 1  # bytes that may lie free at the top of the heap
IN_HEAP = (2**30, 2**25)  # the largest piece to take from the heap; older versions allow 32 MiB
SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """For the rest of the process. False where nothing was done: another library, or a wish.

    Whoever sets one of the environment variables of malloc has decided already.
    """
    if WINDOWS or platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in SETTINGS):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    kept = mallopt(M_TRIM_THRESHOLD, KEEP)
    return bool(kept and any(mallopt(M_MMAP_THRESHOLD, size) for size in IN_HEAP))
