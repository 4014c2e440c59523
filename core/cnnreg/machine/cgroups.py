"""How much of the processors' time this process may have: the control groups of Linux."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

OWN = Path("/proc/self/cgroup")  # lines of number:controllers:path, without controllers: version 2
ROOT = Path("/sys/fs/cgroup")


def processor_share() -> float | None:
    """The whole time of so many processors; None: there is no limit."""
    shares = (share for group in _groups() if (share := _share(group)) is not None)
    return min(shares, default=None)


def _groups() -> Iterator[Path]:
    """The process's own and those around it, whose limits hold for it too.

    A container may be told its path on the host: of that it sees the root, which is its own group.
    """
    try:
        lines = OWN.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # another system
        return
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = ROOT / "cpu" if controllers else ROOT
        own = PurePosixPath(path.lstrip("/"))
        yield from (root / group for group in (own, *own.parents))


def _share(group: Path) -> float | None:
    """Microseconds in each period of so many, in the one file of version 2 or the two of 1."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with suppress(OSError, ValueError, ZeroDivisionError):  # not there, or no limit: max
            texts = [(group / name).read_text(encoding="utf-8") for name in names]
            quota, period = map(int, " ".join(texts).split())
            if quota >= 0:  # -1: no limit
                return quota / period
    return None
