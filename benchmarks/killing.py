"""What the kill trials share: processes that are forked, watched, traced and killed."""

from __future__ import annotations

import functools
import mmap
import multiprocessing.connection
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PATIENCE = 300.0  # seconds after which a process hangs


class Beacon:
    """Bytes of memory shared with a forked process: the first tells the phase it is in."""

    def __init__(self, phases: Sequence[str], size: int = 1) -> None:
        self.phases = phases
        self.memory = mmap.mmap(-1, size)

    @property
    def phase(self) -> str:
        return self.phases[self.memory[0]]

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        before = self.memory[0]
        self.memory[0] = self.phases.index(phase)
        try:
            yield
        finally:
            self.memory[0] = before

    def marking(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def marked(*arguments: Any, **options: Any) -> Any:
            with self.during(phase):
                return function(*arguments, **options)

        return marked


def wait(pid: int, seconds: float = PATIENCE) -> int | None:
    """The exit code, negative for a signal; None, after killing it, if it hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def in_parallel(
    function: Callable[[Any], dict[str, Any]], items: list[Any], jobs: int
) -> list[dict[str, Any]]:
    """Each of `jobs` forked processes takes every `jobs`-th item."""
    context = multiprocessing.get_context("fork")

    # Pipes, not a queue: its thread could hold a lock just when a process is forked.
    def work(part: int, sender: Connection) -> None:
        for item in items[part::jobs]:
            sender.send(function(item))
        sender.close()

    receivers = []
    for part in range(jobs):
        receiver, sender = context.Pipe(duplex=False)
        context.Process(target=work, args=(part, sender), daemon=True).start()
        sender.close()
        receivers.append(receiver)
    outcomes: list[dict[str, Any]] = []
    while receivers:
        ready = multiprocessing.connection.wait(receivers)
        for receiver in [receiver for receiver in receivers if receiver in ready]:
            try:
                outcomes.append(receiver.recv())
            except EOFError:
                receivers.remove(receiver)
    if len(outcomes) < len(items):
        raise SystemExit(f"Only {len(outcomes)} of {len(items)} trials came to an end.")
    return outcomes


def name_of(call: str) -> str:
    return call.partition("(")[0]


def traced(
    fork: Callable[[Callable[[], None], Callable[[], None]], int],
    log: Path,
    inject: Sequence[str] = (),
) -> tuple[list[str], int | None]:
    """The system calls of a part of a process, as strace writes them, and its exit code.

    `fork(begin, finish)` forks one that calls `begin` before that part, where strace is
    attached, and `finish` after it.
    """
    ready, go = os.pipe(), os.pipe()
    end = f"{log}-end"

    def begin() -> None:
        os.write(ready[1], b".")
        os.read(go[0], 1)

    def finish() -> None:
        os.path.exists(end)  # noqa: PTH110 - one system call, to be seen in the trace

    pid = fork(begin, finish)
    os.read(ready[0], 1)
    command = ["strace", "-f", "-p", str(pid), "-o", str(log), *inject]
    strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8"):
        time.sleep(0.005)
    time.sleep(0.05)
    os.write(go[1], b".")
    code = wait(pid)
    strace.wait()
    for handle in (*ready, *go):
        os.close(handle)
    calls = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if end in line:
            break
        if re.match(rf"{pid} +\w+\(", line):
            calls.append(line.partition(" ")[2].lstrip())
    return calls[1:], code  # the first is the read that waited
