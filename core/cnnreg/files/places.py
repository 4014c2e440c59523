"""Where things lie, and how one types it."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from cnnreg.errors import MachineError

HOME_VARIABLE = "CNNREG_HOME"
CACHE_VARIABLE = "CNNREG_CACHE"
WINDOWS = os.name == "nt"


def home() -> Path:
    """Where this user's settings and measurements lie: $CNNREG_HOME, or ~/.cnnreg.

    Raises MachineError where there is no home: nothing was kept then, and nothing can be.
    """
    named = os.environ.get(HOME_VARIABLE)
    try:
        return Path(named).expanduser() if named else Path.home() / ".cnnreg"
    except RuntimeError as error:  # a container's user without a name, say
        raise MachineError(
            "There is no home folder to keep settings and measurements in.",
            hint=f"Name a folder for them: {HOME_VARIABLE}=...",
        ) from error


def typed(path: Path) -> str:
    """As one types it after a command: quoted if it has to be."""
    if not WINDOWS:
        return shlex.quote(str(path))
    text = str(path)
    if re.fullmatch(r"[\w:\\./+-]+", text):
        return text
    if re.search(r"[$`]", text):  # which PowerShell reads within double quotes; cmd does not
        return "'" + text.replace("'", "''") + "'"
    # Double quotes: all that cmd and PowerShell both take. \" would be a quote of the argument's.
    return f'"{text}\\"' if text.endswith("\\") else f'"{text}"'
