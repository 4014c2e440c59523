"""A training is killed at random moments and gone on: does it end as if never killed?

    python benchmarks/kill_trials.py [--trials 200] [--jobs 1] [--seed 0] [--syscalls]

A reference run is trained without interruption. Each trial trains the same recipe, is
killed with SIGKILL one to three times, is gone on each time as `cnnreg resume` does, and
must end with the same sha256 over weights, buffers, optimizer, average, random streams,
progress, metrics, best checkpoint and result; only measured times are left out. Every
second kill waits for a write, so that many hit one. A hand repair is a trial in which
going on failed. `--syscalls` kills instead at every system call of saving one epoch, one
after the other, with strace. Trainings are forked from a process that has torch loaded,
so this needs a POSIX system.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from killing import PATIENCE, Beacon, in_parallel, name_of, traced, wait

from cnnreg.data import DataConfig
from cnnreg.machine.environment import environment
from cnnreg.pictures.curves import draw_curves
from cnnreg.planning import plan
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry, load_registry
from cnnreg.runs import Run, create_run, metrics, now, open_run
from cnnreg.training import loop, trainer
from cnnreg.training.determinism import deterministic
from cnnreg.training.feeding import splits
from cnnreg.training.saving import saver
from cnnreg.training.saving.checkpoint import read_checkpoint

PLAIN: dict[str, Any] = {
    "precision": "fp32",
    "layout": "channels-last",
    "compile": "off",
    "patience": 0,
}
# What carries state: dropout or batch norm, averages, mixing, schedules with and without memory.
RECIPES = {
    "simple_cnn": Recipe(
        epochs=3, batch_size=64, schedule="one-cycle", ema=0.9, mixup=0.2, augment="crop", **PLAIN
    ),
    "resnet20": Recipe(
        epochs=2,
        batch_size=64,
        optimizer="nesterov",
        learning_rate=0.05,
        weight_decay=5e-4,
        schedule="plateau",
        plateau=1,
        accumulate=2,
        clip=1.0,
        ema=0.9,
        cutmix=1.0,
        erasing=0.5,
        class_weights="balanced",
        freeze=1,
        **PLAIN,
    ),
}
IMAGES = 400  # of the digits: a trial is to take seconds
TIMES = ("seconds", "images_per_second")
KILLED = -signal.SIGKILL  # the exit code
KILLS = (1, 3)  # of one trial: at least, at most
WRITING = 0.03  # seconds: about what it takes to save an epoch

# --- Where a training is, told through a byte that outlives it ----------------------------

PHASES = (
    "start",
    "step",
    "validation",
    "save best",
    "save last",
    "write other",
    "fsync",
    "rename",
    "result",
)
WRITES = ("save best", "save last", "write other", "fsync", "rename")


class Training(Beacon):
    """Where a forked training is: its phase, and how many steps are finished."""

    def __init__(self) -> None:
        super().__init__(PHASES, 2)

    @property
    def steps(self) -> int:
        return self.memory[1]

    def step(self, progress: Any) -> None:
        self.memory[1] = progress.step

    def watch(self) -> None:
        """In the forked training: tell the phase. What is done stays the same."""
        save = saver.save_checkpoint

        def save_checkpoint(path: Path, *arguments: Any, **options: Any) -> None:
            name = "save best" if path.name.startswith("best") else "save last"
            self.marking(name, save)(path, *arguments, **options)

        saver.save_checkpoint = save_checkpoint
        loop.Step.__call__ = self.marking("step", loop.Step.__call__)
        loop.evaluate = self.marking("validation", loop.evaluate)
        metrics.write_text = self.marking("write other", metrics.write_text)
        os.fsync = self.marking("fsync", os.fsync)
        Path.replace = self.marking("rename", Path.replace)
        trainer.finish = self.marking("result", trainer.finish)


# --- One training in a process of its own -------------------------------------------------


class Trainer:
    """Trains runs of one recipe in forked processes."""

    def __init__(self, registry: Registry, architecture: str, folder: Path) -> None:
        self.registry = registry
        self.folder = folder
        self.config, self.dataset = plan(
            registry, architecture, DataConfig(name="digits"), RECIPES[architecture]
        )
        parts = {name: getattr(self.dataset, name).take(IMAGES) for name in ("train", "val")}
        self.dataset = replace(self.dataset, **parts)
        for split in (self.dataset.train, self.dataset.val, self.dataset.test):
            len(split)  # decoded before forking
        batches = splits.training_batches(self.dataset, self.config.contract, self.config.recipe)
        self.steps = self.config.recipe.epochs * len(batches)

    def new(self, name: str) -> Run:
        return create_run(replace(self.config, created=now()), folder=self.folder / name)

    def fork(self, run: Run, beacon: Training, prepare: Callable[[], None] = lambda: None) -> int:
        """Train `run` from where it stands to its end, in a process; returns its id."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            beacon.watch()
            prepare()
            notes: list[str] = []
            opened = open_run(run.folder)
            training = trainer.run_training(
                self.registry, opened, self.dataset, on_step=beacon.step, note=notes.append
            )
            list(training)
            code = 2 if notes else 0  # going on must have nothing to remark
        except BaseException as error:  # noqa: BLE001 - told through the exit code
            traceback.print_exception(error)
        finally:
            os._exit(code)

    def to_the_end(self, run: Run) -> bool:
        return wait(self.fork(run, Training())) == 0


def digest(run: Run) -> str:
    """sha256 over all that a training leaves, but measured times."""
    last = read_checkpoint(run.last)
    state = json.loads(json.dumps(last.state))
    result = dict(run.result or {})
    lines = (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    for record in (*state["progress"]["history"], *records, result):
        for name in TIMES:
            record.pop(name, None)
    total = sha256(json.dumps([state, records, result], sort_keys=True).encode())
    for name, tensor in sorted({**last.model, **last.extra}.items()):
        total.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.numpy().tobytes())
    total.update(run.best.read_bytes())
    total.update(json.dumps(open_run(run.folder).config.changes).encode())
    return total.hexdigest()


# --- Random kills -------------------------------------------------------------------------


def kill_at_random(
    pid: int, beacon: Training, chance: random.Random, step: int, pause: float
) -> tuple[str, int]:
    """Kill after that step, at a write or any time; returns the phase and the exit code.

    That is KILLED unless it had ended by itself.
    """
    at_a_write = chance.random() < 0.5
    end = time.monotonic() + PATIENCE
    while beacon.steps < step or (at_a_write and beacon.phase not in WRITES):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return beacon.phase, os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            raise SystemExit("A training hangs.")
        time.sleep(0.0002)
    time.sleep(chance.uniform(0.0, WRITING if at_a_write else pause))
    os.kill(pid, signal.SIGKILL)  # which does nothing to one that has ended and was not waited for
    return beacon.phase, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def trial(made: Trainer, number: int, seed: int, expected: str, seconds: float) -> dict[str, Any]:
    chance = random.Random(f"{seed} {number}")  # noqa: S311 - reproducible, not secret
    run, phases, code = made.new(f"trial-{number}"), [], KILLED
    for step in sorted(chance.randint(0, made.steps) for _ in range(chance.randint(*KILLS))):
        beacon = Training()
        pause = seconds / made.steps
        phase, code = kill_at_random(made.fork(run, beacon), beacon, chance, step, pause)
        if code != KILLED:
            break
        phases.append(phase)
    went_on = code in (KILLED, 0) and (
        open_run(run.folder).result is not None or made.to_the_end(run)
    )
    equal = went_on and digest(run) == expected
    if equal:  # what differs is kept to be looked at
        shutil.rmtree(run.folder)
    return {"phases": phases, "equal": equal, "repair": not went_on, "folder": str(run.folder)}


def random_kills(registry: Registry, folder: Path, options: argparse.Namespace) -> bool:
    made = {name: Trainer(registry, name, folder / name) for name in RECIPES}
    references = {}
    for name, own in made.items():
        started = time.monotonic()
        run = own.new("reference")
        if not own.to_the_end(run) or not own.to_the_end(again := own.new("again")):
            raise SystemExit("The reference run failed.")
        seconds = (time.monotonic() - started) / 2
        references[name] = (digest(run), seconds)
        if digest(again) != digest(run):
            raise SystemExit(f"{name}: two uninterrupted runs differ; nothing can be said.")
        print(f"{name}: reference {digest(run)[:16]}, {seconds:.1f} s", flush=True)
    names = list(made)
    work = [(names[n % len(names)], n) for n in range(options.trials)]

    def one(item: tuple[str, int]) -> dict[str, Any]:
        name, number = item
        return trial(made[name], number, options.seed, *references[name])

    started = time.monotonic()
    outcomes = in_parallel(one, work, options.jobs)
    report(outcomes, time.monotonic() - started)
    return all(outcome["equal"] for outcome in outcomes)


def report(outcomes: list[dict[str, Any]], seconds: float) -> None:
    trials, equal = len(outcomes), sum(outcome["equal"] for outcome in outcomes)
    phases = Counter(phase for outcome in outcomes for phase in outcome["phases"])
    print(f"{'trials':<22}{trials:>6}   {seconds / trials:.1f} s each")
    print(f"{'equal':<22}{equal:>6}")
    print(f"{'different':<22}{trials - equal:>6}")
    print(f"{'hand repairs':<22}{sum(outcome['repair'] for outcome in outcomes):>6}")
    print(f"{'kills':<22}{phases.total():>6}")
    for phase in PHASES:
        print(f"  during {phase:<13}{phases[phase]:>6}")
    print(f"trials without a kill {sum(not outcome['phases'] for outcome in outcomes):>6}")
    if equal == trials:
        print(f"no failure in {trials}: the rate is at most {300 / trials:.1f} % (95 %)")
    for outcome in outcomes:
        if not outcome["equal"]:
            print(f"different: {outcome['folder']} after {outcome['phases']}")


# --- A kill at each system call of one save ------------------------------------------------

EPOCH = 2  # the one whose saving is cut


def syscall_kills(registry: Registry, folder: Path, options: argparse.Namespace) -> bool:
    if not shutil.which("strace"):
        print("skipped: there is no strace here")
        return True
    made = Trainer(registry, "simple_cnn", folder / "syscalls")
    if not made.to_the_end(run := made.new("reference")):
        raise SystemExit("The reference run failed.")
    expected = digest(run)
    calls = [name for name in save(made, made.new("traced")) if name != "exit_group"]
    print(f"{len(calls)} system calls save an epoch: {dict(Counter(calls))}", flush=True)
    seen: Counter[str] = Counter()
    outcomes = []
    for number, name in enumerate(calls):
        seen[name] += 1
        run = made.new(f"call-{number}")
        save(made, run, ["-e", f"inject={name}:signal=KILL:when={seen[name]}"])
        killed = open_run(run.folder).result is None
        whole = read_checkpoint(run.last).state["progress"]["epoch"] in (EPOCH - 1, EPOCH)
        went_on = made.to_the_end(run) if killed else True
        equal = whole and went_on and digest(run) == expected
        outcomes.append((number, name, killed, equal, went_on))
        if not (killed and equal):
            print(f"  call {number} ({name}): killed {killed}, equal {equal}", flush=True)
    print(f"{'kills':<22}{sum(killed for _, _, killed, _, _ in outcomes):>6}")
    print(f"{'equal':<22}{sum(equal for *_, equal, _ in outcomes):>6}")
    print(f"{'different':<22}{sum(not equal for *_, equal, _ in outcomes):>6}")
    print(f"{'hand repairs':<22}{sum(not went_on for *_, went_on in outcomes):>6}")
    return all(killed and equal for _, _, killed, equal, _ in outcomes)


def save(made: Trainer, run: Run, inject: Sequence[str] = ()) -> list[str]:
    """Train with strace attached while epoch EPOCH is saved; returns that save's system calls."""

    def fork(begin: Callable[[], None], finish: Callable[[], None]) -> int:
        def prepare() -> None:
            save_epoch = saver.Saver.save_epoch

            def stop_first(self: saver.Saver, record: Any) -> None:
                if record.epoch == EPOCH:
                    begin()
                save_epoch(self, record)
                if record.epoch == EPOCH:
                    finish()

            saver.Saver.save_epoch = stop_first

        return made.fork(run, Training(), prepare)

    calls, _ = traced(fork, made.folder / f"{run.name}.strace", inject)
    return [name_of(call) for call in calls]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time, a thread each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--syscalls", action="store_true")
    options = parser.parse_args()
    if not hasattr(os, "fork"):
        raise SystemExit("This forks trainings and kills them: it needs a POSIX system.")
    torch.set_num_threads(1)  # bits depend on their number, and none may exist when forking
    folder = Path(tempfile.mkdtemp(prefix="kill-trials-"))
    with deterministic(torch.device("cpu")):  # what it and the curves import, imported once
        draw_curves([], "", folder / "warm.png")
    test = syscall_kills if options.syscalls else random_kills
    good = test(load_registry(), folder, options)
    print(json.dumps(environment(), indent=2))
    if not good:
        raise SystemExit(f"Kept: {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
