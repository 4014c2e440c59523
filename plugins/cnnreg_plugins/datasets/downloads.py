"""Published files: found where they lie, else fetched whole, else asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from typing import Any

from cnnreg import DataRequest, MachineError, MissingExtraError
from cnnreg.errors import one_line
from cnnreg.files import disk_errors, patiently, sweep_abandoned, temporary_folder

PROBE_SECONDS = 4.0
STALL_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Files on a server, and where torchvision keeps them below the downloads folder."""

    title: str
    folder: str
    urls: tuple[str, ...]  # one file on each server that has them
    fetch: Callable[[Path], object]  # torchvision's download below a root; it checks every md5
    by_hand: tuple[str, ...]  # the files that do as well
    by_hand_folder: str
    megabytes: int


def search_roots(request: DataRequest) -> list[Path]:
    return [root.absolute() for root in (request.folder, request.downloads) if root is not None]


def download(published: Published, request: DataRequest) -> Path:
    """Fetch below the downloads folder; a file gets its name there once it is verified.

    Raises MachineError within seconds if no server answers.
    """
    root = request.downloads.absolute()
    if not _any_answers(published.urls):
        raise _missing(published, root, "its server does not answer")
    target = root / published.folder
    try:
        if root.is_dir():
            sweep_abandoned(root)
        with temporary_folder(root / "download") as folder, _stalls_end():
            published.fetch(folder)
            move_files(folder / published.folder, target)
    # Of the network, and torchvision's of a wrong md5.
    except (OSError, HTTPException, RuntimeError, EOFError) as error:
        raise _missing(published, root, f"the download failed ({one_line(error)})") from error
    return target


def from_torchvision(name: str, root: Path, **options: bool) -> Any:
    """Its data set of that name, whose files lie below `root`."""
    return _of_torchvision(name)(root=root, **options)


def published_md5(name: str) -> str:
    """Of the archive that its data set of that name comes in."""
    md5: str = _of_torchvision(name).tgz_md5
    return md5


def _of_torchvision(name: str) -> Any:
    try:
        from torchvision import datasets
    except ImportError as error:
        raise MissingExtraError("torchvision", "train") from error
    return getattr(datasets, name)


def move_files(source: Path, target: Path) -> None:
    """One by one, so that whatever else a user keeps in `target` stays."""
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        for file in source.iterdir():
            patiently(file.replace, target / file.name)


def _missing(published: Published, root: Path, reason: str) -> MachineError:
    return MachineError(
        f"{published.title} is not here ({published.megabytes} MB) and {reason}.",
        where=root / published.by_hand_folder,
        hint=f"Put there: {', '.join(published.by_hand)}; or say --data-dir FOLDER of theirs.",
    )


def _any_answers(urls: tuple[str, ...]) -> bool:
    """Daemon threads, because looking up a host has no time limit of its own."""
    from queue import Empty, SimpleQueue
    from threading import Thread

    answers: SimpleQueue[bool] = SimpleQueue()
    for url in urls:
        Thread(target=lambda url=url: answers.put(_answers(url)), daemon=True).start()
    deadline = monotonic() + PROBE_SECONDS
    try:
        return any(answers.get(timeout=max(0, deadline - monotonic())) for _ in urls)
    except Empty:
        return False


def _answers(url: str) -> bool:
    from urllib.request import Request, urlopen

    # Only this package's own constants arrive here, never a user's address.
    request = Request(url, method="HEAD", headers={"User-Agent": "cnnreg"})  # noqa: S310
    try:
        with urlopen(request, timeout=PROBE_SECONDS):  # noqa: S310
            return True
    except (OSError, HTTPException, ValueError):
        return False


@contextmanager
def _stalls_end() -> Iterator[None]:
    """torchvision sets no timeout: a silent server would hold it for ever."""
    import socket

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
