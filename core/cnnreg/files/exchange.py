"""Two names that change places in one step, where the system knows how: Linux and macOS."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

HERE = -100  # AT_FDCWD: paths are relative to the working folder
SWAP = 2  # RENAME_EXCHANGE of Linux's renameat2, RENAME_SWAP of macOS's renamex_np


def exchange(one: Path, other: Path) -> bool:
    """Whether they changed places; if not, nothing did."""
    if os.name == "nt":
        return False
    system = ctypes.CDLL(None)
    names = (os.fsencode(one), os.fsencode(other))
    try:
        if sys.platform == "darwin":
            return bool(system.renamex_np(*names, SWAP) == 0)
        return bool(system.renameat2(HERE, names[0], HERE, names[1], SWAP) == 0)
    except AttributeError:  # a C library from before 2018
        return False
