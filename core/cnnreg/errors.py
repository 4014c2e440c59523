"""Every error a user can meet, and the exit code each carries.

CnnregError            1    an internal bug when raised bare
├── UsageError         2    a flag or argument that cannot be honoured
│   └── UnknownNameError    a name the registry does not hold
├── DataError          3    images, labels, folders
├── ModelFileError     4    checkpoints and exported models
├── MachineError       5    disk, device, network, a missing extra
│   ├── MissingExtraError
│   ├── InUseError           a folder that another process writes
│   └── LostProcessError     one of several that train together
├── PluginError        6    a plugin broke a rule, or two clash
├── DivergedError      7    the loss is no longer a number
├── GateError          8    an export that is not equal to its original
└── StoppedError     130    stopped by the user (143: by the system), with work saved
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

REINSTALL = (
    "Install Microsoft's Visual C++ Redistributable (x64), "
    "https://aka.ms/vs/17/release/vc_redist.x64.exe, then the package again."
    if os.name == "nt"
    else "Install the package again."
)

LONGEST = 300  # characters of a foreign error's text
FEW = 12  # names that a hint tells one by one
MEMORY_ON_WINDOWS = (8, 14, 1455)  # its own numbers: errno knows not all, texts are translated


class CnnregError(Exception):
    """What happened, where, and what to do about it: one line each."""

    exit_code = 1

    def __init__(self, what: str, *, where: Path | str | None = None, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = str(where) if where is not None else None
        self.hint = hint
        self.finished: list[Any] = []  # results from before it, in a command's own form

    def __str__(self) -> str:
        place = f" [{self.where}]" if self.where else ""
        cure = f" {self.hint}" if self.hint else ""
        return f"{self.what}{place}{cure}"


class UsageError(CnnregError):
    """A flag or argument that cannot be honoured."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not in the registry; the nearest ones are suggested."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        from difflib import get_close_matches

        names = list(known)
        self.suggestions = get_close_matches(name.lower(), names, n=3, cutoff=0.5)
        if self.suggestions:
            hint = f"Did you mean {', '.join(self.suggestions)}?"
        elif len(names) <= FEW:
            hint = f"There are {', '.join(names)}." if names else "There are none."
        else:
            command = "cnnreg plugins" if kind == "plugin" else "cnnreg list"
            hint = f"`{command}` shows what there is."
        super().__init__(f"Unknown {kind} '{name}'.", hint=hint)


class DataError(CnnregError):
    """Images, labels or folders that cannot be used as they are."""

    exit_code = 3


class ModelFileError(CnnregError):
    """A checkpoint or an exported model that is damaged, foreign or does not fit."""

    exit_code = 4


class MachineError(CnnregError):
    """Something outside the program: disk, device, network."""

    exit_code = 5


class MissingExtraError(MachineError):
    """A package is not installed: of an optional extra of ours, or what a plugin needs."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"This needs the package '{module}', which is not installed.",
            hint=f"Install it with: {pip_line(module, extra)}",
        )


def pip_line(module: str, extra: str) -> str:
    """What installs a module; without one of our extras, the package is taken to be called so."""
    package = f'"cnn-registry[{extra}]"' if extra else module.partition(".")[0]
    return f"pip install {package}"


class InUseError(MachineError):
    """Another process writes the folder; it may be free later."""


class LostProcessError(MachineError):
    """Another process of the same training has ended or cannot be reached."""


class PluginError(CnnregError):
    """A plugin that broke a rule, or two plugins that offer the same name."""

    exit_code = 6


class DivergedError(CnnregError):
    """Training whose loss is no longer a number."""

    exit_code = 7


class GateError(CnnregError):
    """An export that does not equal its original; it is not published."""

    exit_code = 8
    instead: Any = None  # the ExportResult of what was published in its stead


class StoppedError(CnnregError):
    """The user (SIGINT, 130) or the system (SIGTERM, 143) asked to stop; the work is saved."""

    exit_code = 130

    def __init__(self, what: str, *, by_user: bool, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        if not by_user:
            self.exit_code = 143


def text_of(error: BaseException) -> str:
    """What it says, on one line; empty where a class of somebody's own cannot even say that."""
    try:
        return " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - whatever its __str__ raises
        return ""


def one_line(error: BaseException) -> str:
    """A foreign error's class and what it says, without the full stop: a sentence follows it."""
    text = text_of(error).rstrip(".")
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 3]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_unloadable(error: BaseException) -> bool:
    """Whether a library, or one that it needs, is not there or does not start."""
    texts = ("DLL load failed", "cannot open shared object file", "Library not loaded")
    windows = getattr(error, "winerror", None) in (126, 127, 182, 1114)
    return windows or (
        isinstance(error, ImportError | OSError) and any(text in text_of(error) for text in texts)
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Linux, Windows and CUDA each say it in their own words."""
    if isinstance(error, OSError) and (
        error.errno == errno.ENOMEM or getattr(error, "winerror", None) in MEMORY_ON_WINDOWS
    ):
        return True
    texts = ("can't allocate memory", "not enough memory", "out of memory", "bad allocation")
    return isinstance(error, MemoryError) or any(text in text_of(error).lower() for text in texts)
