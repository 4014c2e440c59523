"""The command line. Commands are modules named as they are typed, `list` and `eval` too,
which shadow Python's own here: so no code stands in this file.
"""

from .app import COMMANDS
from .boundary import main

__all__ = ["COMMANDS", "main"]
