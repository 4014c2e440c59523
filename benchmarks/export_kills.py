"""An export is killed, stopped, or runs out of disk: is there the old one or the new one, whole?

    python benchmarks/export_kills.py [--trials 100] [--syscalls] [--full-disk] [--seed 0]

A tiny run has an export and a layout that is served. Each trial exports it anew as
`cnnreg export --openvino --serve-layout` does, in a forked process, and ends that:

- with SIGKILL or SIGTERM at a random moment; every second one waits for a write,
- `--syscalls`: at every system call that can change the disk while publishing the export
  and while adding a version to the layout, one after the other, with strace,
- `--full-disk`: by a limit on the size of a file, and on a tmpfs of each of many sizes.

Then the export must be the old or the new one, every file as its manifest lists it; every
version in the layout likewise, with its labels; the exit code 143 after SIGTERM, 5 where the
disk was full; and the next export must work and leave no temporary file. Where system calls
are met, and for the next export, the model's files are copied instead of made anew, which is
all that is left out. Needs Linux.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nncf  # noqa: F401 - imported once, before forking
import onnxruntime  # noqa: F401
import openvino  # noqa: F401
import torch
from killing import Beacon, name_of, traced, wait

import cnnreg_export.formats.openvino.writer  # noqa: F401
from cnnreg.cli import export, main
from cnnreg.cli.common import get_registry
from cnnreg.errors import CnnregError
from cnnreg.exporting import publishing, writing
from cnnreg.exporting.original import Original, load_original
from cnnreg.exporting.parity import Parity
from cnnreg.files import TEMPORARY_PREFIX
from cnnreg.machine.environment import environment
from cnnreg.manifest import read_manifest
from cnnreg.models import exported_model
from cnnreg.run_data import data_of_run
from cnnreg.runs import open_run
from cnnreg.serving import LAYOUT

NAME = "openvino-fp32-embed"
PHASES = ("start", "writing", "comparing", "publishing", "laying out")
WRITES = ("writing", "publishing", "laying out")
# A kill at a call that only reads leaves what one at the next of these leaves.
CHANGING = (
    *("openat", "write", "pwrite64", "sendfile", "copy_file_range", "fsync"),
    *("rename", "renameat2", "mkdir", "unlink", "unlinkat", "rmdir"),
)
SIZES = 20  # of the tmpfs: from room for nothing to room for all


@dataclass(frozen=True)
class Place:
    """A run with an export; `exports` is where the next one goes."""

    run: Path
    exports: Path

    @property
    def target(self) -> Path:
        return self.exports / NAME

    def fork(self, prepare: Callable[[], None] = lambda: None) -> int:
        """Export anew in a process; returns its id."""
        pid = os.fork()
        if pid:
            return pid
        code: Any = 1
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            prepare()
            command = ["export", str(self.run), "--openvino", "--serve-layout"]
            main([*command, "--output", str(self.exports)])
        except SystemExit as end:
            code = end.code
        finally:
            os._exit(code)

    def state(self, old: bytes) -> str:
        """old, new or none; raises if anything is not whole."""
        for version in (self.exports / LAYOUT).glob("*/[0-9]*"):
            labels = json.loads((self.exports / LAYOUT / "labels.json").read_text(encoding="utf-8"))
            found = read_manifest(version)
            if labels[version.parent.name][version.name] != list(found.contract.classes):
                raise CnnregError("Labels differ.", where=version)
        if not self.target.exists():
            return "none"
        exported_model(self.target)
        return "old" if (self.target / "manifest.json").read_bytes() == old else "new"

    def leftovers(self) -> list[Path]:
        return list(self.exports.rglob(f"{TEMPORARY_PREFIX}*"))


def watch(beacon: Beacon) -> None:
    """In the forked process: tell the phase."""
    writer = writing.Writer
    writer._write = beacon.marking("writing", writer._write)
    writing.prove = beacon.marking("comparing", writing.prove)
    for name in ("write_text", "write_manifest", "publish_folder"):
        setattr(publishing, name, beacon.marking("publishing", getattr(publishing, name)))
    export.serve = beacon.marking("laying out", export.serve)


def quick(made: Path, original: Original) -> None:
    """In the forked process: the run is read already, and the model's files were `made` before."""

    def write(writer: Any, attempt: Any, folder: Path) -> Path:
        for name in ("model.xml", "model.bin"):
            shutil.copyfile(made / name, folder / name)
        return folder / "model.xml"

    proof = json.loads((made / "manifest.json").read_text(encoding="utf-8"))["parity"]
    parity = {name: Parity(**figures) for name, figures in proof.items()}
    export.data_of_run = lambda *_, **__: None
    export.load_original = lambda *_, **__: original
    writing.Writer._write = write
    writing.prove = lambda *_, **__: parity


class Trials:
    """Counts what came of them, and keeps the folders of those that failed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first = Place(folder / "run", folder / "run" / "exports")
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []
        self.number = 0

    def prepare(self) -> None:
        arguments = [
            "train",
            "mlp",
            "--epochs",
            "1",
            "--precision",
            "fp32",
            "--layout",
            "contiguous",
        ]
        command = [sys.executable, "-m", "cnnreg", *arguments, "--output", str(self.first.run)]
        subprocess.run(command, check=True, capture_output=True)
        if wait(self.first.fork()) != 0:
            raise SystemExit("The first export failed.")
        _ = self.original  # read before anything is forked

    @property
    def old(self) -> bytes:
        return (self.first.target / "manifest.json").read_bytes()

    @functools.cached_property
    def original(self) -> Original:
        registry, run = get_registry(), open_run(self.first.run)
        return load_original(registry, run, data_of_run(registry, run))

    def quick(self) -> None:
        quick(self.first.target, self.original)

    def fresh(self, root: Path | None = None) -> Place:
        """A copy of the exports, so that each trial begins with the same old one.

        Its layout holds a version of another checkpoint: the next export adds one.
        """
        self.number += 1
        exports = (root or self.folder) / f"trial-{self.number}"
        shutil.copytree(self.first.exports, exports)
        (version,) = (exports / LAYOUT).glob("*/1")
        manifest = json.loads((version / "manifest.json").read_text(encoding="utf-8"))
        manifest["source"] = {"run": "another"}
        (version / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return Place(self.first.run, exports)

    def judge(
        self,
        what: str,
        place: Place,
        code: int | None,
        allowed: dict[int, str],
        *,
        go_on: bool = True,
    ) -> None:
        """`allowed`: exit codes with the states they may leave, as words."""
        try:
            state = place.state(self.old)
        except (CnnregError, OSError, KeyError, ValueError) as error:
            state = f"mixture: {error}"
        good = code in allowed and state in allowed[code].split()
        if good and code != -signal.SIGKILL and place.leftovers():
            good, state = False, f"{state}, temporaries left"
        self.counts[f"{what}: exit {code}, {state}"] += 1
        if not good:
            self.fail(f"{what}: exit {code}, {state} [{place.exports}]")
        if go_on:
            self.go_on(what, place)
        if good:
            shutil.rmtree(place.exports)

    def go_on(self, what: str, place: Place) -> None:
        """The next export works and sweeps."""
        code = wait(place.fork(self.quick))
        whole = code == 0 and place.state(self.old) == "new" and not place.leftovers()
        self.counts["the next export: whole, all swept" if whole else "the next export: NOT"] += 1
        if not whole:
            self.fail(f"after {what}: exit {code} [{place.exports}]")

    def fail(self, what: str) -> None:
        print(f"failed: {what}", file=sys.stderr, flush=True)
        self.failed.append(what)


KILLED = {-signal.SIGKILL: "old new", 0: "new"}
STOPPED = {143: "old new", 0: "new"}
FULL = {5: "old new", 0: "new"}  # new: published, but no room to lay it out


def random_moments(trials: Trials, options: argparse.Namespace) -> None:
    started = time.monotonic()
    wait(trials.fresh().fork())
    seconds = time.monotonic() - started
    chance = random.Random(options.seed)  # noqa: S311 - reproducible, not secret
    for number in range(options.trials):
        term = number % 2 == 1
        place, beacon = trials.fresh(), Beacon(PHASES)
        pid = place.fork(functools.partial(watch, beacon))
        if number % 4 < 2:
            phase = chance.choice(WRITES)
            while beacon.phase != phase and not os.waitid(
                os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
            ):
                time.sleep(0.0002)
            time.sleep(chance.uniform(0, 0.01 if phase != "writing" else seconds / 3))
        else:
            time.sleep(chance.uniform(0.3 * seconds, seconds))
        phase = beacon.phase
        os.kill(pid, signal.SIGTERM if term else signal.SIGKILL)
        code = wait(pid)
        if term and code == -signal.SIGTERM and phase == "start":
            code = 143  # before the command had begun: what a shell says of it
        name = "SIGTERM" if term else "SIGKILL"
        trials.judge(f"{name} while {phase}", place, code, STOPPED if term else KILLED)


def at_system_calls(trials: Trials, options: argparse.Namespace) -> None:
    if not shutil.which("strace"):
        print("skipped: there is no strace here")
        return
    log = trials.folder / "strace"
    for part in ("publishing", "laying out"):

        def export(place: Place, inject: list[str], part: str = part) -> Any:
            def fork(begin: Callable[[], None], finish: Callable[[], None]) -> int:
                def prepare() -> None:
                    trials.quick()
                    around(part, begin, finish)

                return place.fork(prepare)

            return traced(fork, log, inject)

        calls, _ = export(trials.fresh(), [])
        print(
            f"{part}: {len(calls)} system calls, {dict(Counter(map(name_of, calls)))}", flush=True
        )
        for name, allowed in (("KILL", KILLED), ("TERM", STOPPED)):
            seen: Counter[str] = Counter()
            for call in calls:
                kind = name_of(call)
                seen[kind] += 1
                if kind not in CHANGING or "O_RDONLY" in call:
                    continue
                place = trials.fresh()
                inject = ["-e", f"inject={kind}:signal={name}:when={seen[kind]}"]
                _, code = export(place, inject)
                trials.judge(f"SIG{name} at a call of {part}", place, code, allowed)


def around(part: str, begin: Callable[[], None], finish: Callable[[], None]) -> None:
    """In the forked process: call `begin` and `finish` around a part of the export."""
    if part == "laying out":
        serve = export.serve

        def served(*arguments: Any) -> Any:
            begin()
            result = serve(*arguments)
            finish()
            return result

        export.serve = served
        return
    write, publish = publishing.write_text, publishing.publish_folder

    def first(*arguments: Any) -> None:  # the card, with which publishing begins
        begin()
        write(*arguments)

    def last(*arguments: Any) -> None:
        publish(*arguments)
        finish()

    publishing.write_text, publishing.publish_folder = first, last


def full_disk(trials: Trials, options: argparse.Namespace) -> None:
    """Here the files are made, too: what writes them meets the full disk."""
    sizes = {path.stat().st_size for path in files_of(trials.first.exports)}
    limits = {size + more for size in sizes for more in (-4096, -1, 0)}
    for limit in sorted(limit for limit in limits if limit > 0):
        place = trials.fresh()
        bound = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
        trials.judge("files limited", place, wait(place.fork(bound)), FULL)
    if not shutil.which("unshare"):
        print("skipped: there is no unshare here")
        return
    command = ["unshare", "-rm", sys.executable, __file__, "--inside", str(trials.folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"On a tmpfs: {done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    trials.counts.update(told["counts"])
    trials.failed += told["failed"]


def inside(folder: Path) -> None:
    """In a namespace of its own, where a file system may be mounted."""
    trials = Trials(folder)
    used = sum(path.stat().st_size + 4096 for path in files_of(trials.first.exports))
    small = folder / "small"
    small.mkdir()
    unmount = ["umount", "-l", str(small)]
    for number in range(SIZES):
        size = (used + 65536 + used * number // SIZES) // 1024
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", str(small)]
        subprocess.run(mount, check=True)
        place = trials.fresh(small)
        trials.judge("tmpfs full", place, wait(place.fork()), FULL, go_on=False)
        subprocess.run(unmount, check=True)
    print(json.dumps({"counts": trials.counts, "failed": trials.failed}))


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def run(options: argparse.Namespace) -> None:
    trials = Trials(Path(tempfile.mkdtemp(prefix="export-kills-")))
    trials.prepare()
    test = (
        at_system_calls if options.syscalls else full_disk if options.full_disk else random_moments
    )
    test(trials, options)
    for what, count in sorted(trials.counts.items()):
        print(f"{count:>6}  {what}")
    print(f"{len(trials.failed):>6}  failed")
    print(json.dumps(environment(), indent=2))
    if trials.failed:
        raise SystemExit("\n".join([*trials.failed, f"Kept: {trials.folder}"]))
    shutil.rmtree(trials.folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--syscalls", action="store_true")
    parser.add_argument("--full-disk", action="store_true")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # none may exist when forking
    if chosen.inside:
        inside(chosen.inside)
    else:
        run(chosen)
