"""A picture of a command in a terminal: python docs/terminal.py OUTPUT.svg COMMAND...

Runs the command in a pseudo-terminal of 100 columns, so that it is as colourful as
for a person, and draws what it printed on stdout.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100


def record(command: list[str]) -> str:
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, env=environment
    )
    os.close(slave)
    chunks = []
    while True:
        try:
            chunks.append(os.read(master, 65536))
        except OSError:  # Linux says EIO when the last writer is gone
            break
    if process.wait():
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return b"".join(chunks).decode("utf-8").replace("\r\n", "\n")


def main() -> None:
    output, *command = sys.argv[1:]
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ {' '.join(command)}\n{record(command)}"))
    Path(output).write_text(console.export_svg(title=" ".join(command)), encoding="utf-8")


if __name__ == "__main__":
    main()
