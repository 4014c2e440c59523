"""CIFAR-10 and CIFAR-100, read by torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cnnreg import (
    DataError,
    DataRequest,
    DatasetSpec,
    MachineError,
    Samples,
    SourceData,
    hookimpl,
)
from cnnreg.files import disk_errors, temporary_folder

from .downloads import (
    Published,
    download,
    from_torchvision,
    move_files,
    published_md5,
    search_roots,
)

URL = "https://www.cs.toronto.edu/~kriz/cifar.html"


@dataclass(frozen=True, slots=True)
class Cifar:
    title: str
    loader: str  # torchvision's name
    folder: str
    archive: str
    megabytes: int
    mark: str  # a file that is in the folder

    def published(self) -> Published:
        return Published(
            title=self.title,
            folder=self.folder,
            urls=(f"https://www.cs.toronto.edu/~kriz/{self.archive}",),
            fetch=partial(from_torchvision, self.loader, download=True),
            by_hand=(self.archive,),
            by_hand_folder="",
            megabytes=self.megabytes,
        )


CIFAR10 = Cifar(
    "CIFAR-10", "CIFAR10", "cifar-10-batches-py", "cifar-10-python.tar.gz", 170, "data_batch_1"
)
CIFAR100 = Cifar(
    "CIFAR-100", "CIFAR100", "cifar-100-python", "cifar-100-python.tar.gz", 169, "train"
)


def open_cifar(cifar: Cifar, request: DataRequest) -> SourceData:
    folder = _find(cifar, request) or _unpack(cifar, request)
    folder = folder or download(cifar.published(), request)
    # The batches are pickles. torchvision unpickles none before it has compared every
    # one with its published md5, and no other file can be made to have that md5.
    try:
        train = from_torchvision(cifar.loader, folder.parent, train=True)
        test = from_torchvision(cifar.loader, folder.parent, train=False)
    except RuntimeError as error:
        raise DataError(
            f"{cifar.title} is incomplete or damaged here: its md5 sums differ.",
            where=folder,
            hint="Remove this folder; it is then downloaded again.",
        ) from error
    return SourceData(classes=tuple(train.classes), train=_samples(train), test=_samples(test))


def _samples(data: Any) -> Samples:
    import numpy as np

    return Samples(labels=np.array(data.targets, np.int64), pixels=data.data)


def _find(cifar: Cifar, request: DataRequest) -> Path | None:
    roots = search_roots(request)
    places = [place for root in roots for place in (root / cifar.folder, root)]
    return next((p for p in places if p.name == cifar.folder and (p / cifar.mark).is_file()), None)


def _unpack(cifar: Cifar, request: DataRequest) -> Path | None:
    """The folder out of an archive that the user has put there, if it is the one published.

    No other is opened: an archive can be made that writes elsewhere.
    """
    import tarfile

    archives = [root / cifar.archive for root in search_roots(request)]
    archive = next((path for path in archives if path.is_file()), None)
    if archive is None:
        return None
    if _md5(archive) != published_md5(cifar.loader):
        raise DataError(
            f"Damaged archive: it is not {cifar.title} as it was published, by its md5.",
            where=archive,
            hint="Remove it: the data are then downloaded again. Or unpack it there yourself.",
        )
    target = request.downloads.absolute() / cifar.folder
    with temporary_folder(target) as folder, disk_errors(target):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        move_files(folder / cifar.folder, target)
    return target


def _md5(path: Path) -> str:
    import hashlib

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(
                file, partial(hashlib.md5, usedforsecurity=False)
            ).hexdigest()
    except OSError as error:
        raise MachineError(f"Cannot be read: {error.strerror}.", where=path) from error


@hookimpl
def cnnreg_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="cifar10",
            summary="60,000 photographs of 32x32 pixels: animals and vehicles, 10 classes",
            open=partial(open_cifar, CIFAR10),
            licence="none stated",
            url=URL,
            num_classes=10,
            image_shape=(3, 32, 32),
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
        ),
        DatasetSpec(
            name="cifar100",
            summary="60,000 photographs of 32x32 pixels, 100 classes",
            open=partial(open_cifar, CIFAR100),
            licence="none stated",
            url=URL,
            num_classes=100,
            image_shape=(3, 32, 32),
            mean=(0.5071, 0.4865, 0.4409),
            std=(0.2673, 0.2564, 0.2762),
        ),
    ]
