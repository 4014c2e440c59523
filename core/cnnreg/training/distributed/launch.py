"""Joining the processes that torchrun has started, and leaving them on every way out.

https://docs.pytorch.org/docs/stable/elastic/run.html names the environment variables.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from cnnreg.errors import (
    CnnregError,
    DivergedError,
    LostProcessError,
    MachineError,
    StoppedError,
    UsageError,
)
from cnnreg.machine.environment import physical_cores
from cnnreg.runs import Run, config_to_data, run_from_data

from .world import ALONE, World

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

TIMEOUT = timedelta(minutes=30)  # one process may decode, or save, for longer than the others
HEAD_START = 1.0  # seconds: where all fail alike, the first process is the one to say so
SYMMETRIC = (StoppedError, DivergedError)  # all raise them, at the same step


@contextmanager
def joined(say: Callable[[str], None] = lambda text: None) -> Iterator[World]:
    """This process's place among all that torchrun started; alone where it did not.

    An error in any of them ends all of them: one raises it, the others, which then
    fail too, leave without a word, by SystemExit.
    """
    world = world_of(os.environ)
    if world.size == 1:
        yield world
        return
    threads = _share_processor()
    say(f"{world.size} processes, {threads} {'thread' if threads == 1 else 'threads'} each")
    store = _enter(world)
    try:
        yield world
    except (Exception, KeyboardInterrupt) as error:
        if not _speaks(error, world, store):
            code = 130 if isinstance(error, KeyboardInterrupt) else 1
            raise SystemExit(getattr(error, "exit_code", code)) from error
        if world.rank and isinstance(error, CnnregError):
            place = f"process {world.rank} on {socket.gethostname()}"
            error.where = f"{place}: {error.where}" if error.where else place
        raise
    finally:
        with suppress(RuntimeError):  # the others may have gone
            dist.destroy_process_group()


def run_of_first(run: Run | None, world: World) -> Run:
    """The first process's run, in all of them; the others need not see its folder."""
    content = b""
    if run is not None:
        content = json.dumps([str(run.folder), config_to_data(run.config)]).encode()
    sent = world.from_first(content)
    if run is not None:
        return run
    folder, data = json.loads(sent)
    return run_from_data(Path(folder), data)


def world_of(environment: os._Environ[str] | dict[str, str]) -> World:
    """Raises UsageError for variables that do not go together."""
    if environment.get("WORLD_SIZE", "1") == "1":
        return ALONE
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    absent = [name for name in names if not environment.get(name)]
    hint = "Start it with torchrun, or unset WORLD_SIZE to train in one process."
    if absent:
        raise UsageError(f"WORLD_SIZE is set but not {', '.join(absent)}.", hint=hint)
    try:
        size, rank, local_rank, _ = (
            int(environment[name]) for name in names if name != "MASTER_ADDR"
        )
    except ValueError as error:
        raise UsageError(f"WORLD_SIZE, RANK and the like: {error}.", hint=hint) from error
    if not (0 <= local_rank <= rank < size):
        raise UsageError(f"There is no process {rank} among {size}.", hint=hint)
    return World(rank, size, local_rank)


def _enter(world: World) -> Store:
    if not dist.is_available():
        raise MachineError("This build of torch cannot train in several processes.")
    # Not at the top: a build of torch without them can still train in one process.
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    _stay_inside()
    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    if gpus:
        torch.cuda.set_device(world.local_rank % torch.cuda.device_count())
    try:
        store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=PrefixStore("cnnreg", store),
            rank=rank,
            world_size=size,
            timeout=TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise MachineError(
            "The processes do not find each other.",
            where=place,
            hint="GLOO_SOCKET_IFNAME names the network to use; see docs/distributed.md.",
        ) from error
    return PrefixStore("cnnreg-errors", store)


def _stay_inside() -> None:
    """Gloo has no authentication: on one machine it listens on the loopback alone."""
    if os.environ.get("LOCAL_WORLD_SIZE") != os.environ["WORLD_SIZE"]:
        return
    names = {name for _, name in socket.if_nameindex()}
    for loopback in ("lo", "lo0"):
        if loopback in names:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)


def _share_processor() -> int:
    """Give each process its part of the cores; torchrun, left alone, gives each one thread."""
    if os.environ.get("OMP_NUM_THREADS", "1") == "1":
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(max(1, physical_cores() // processes))
    return torch.get_num_threads()


def _speaks(error: BaseException, world: World, store: Store) -> bool:
    """Whether it is for this process to say what went wrong: one does, the first to ask."""
    if world.rank and not isinstance(error, LostProcessError):
        sleep(HEAD_START)
    if world.rank and isinstance(error, (*SYMMETRIC, KeyboardInterrupt)):
        return False
    try:
        return int(store.add("failed", 1)) == 1
    except RuntimeError:  # the store went with the first process, which has spoken
        return world.rank == 0
