"""The manifest of an exported model: which files, what they are for, how they were proven."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from .errors import CnnregError, ModelFileError
from .files import check_schema, file_digest, read_json, write_json
from .specs import BARE, Interface, ModelContract, Precision, to_data

SCHEMA = 1
FILE_NAME = "manifest.json"
CARD = "model-card.md"  # for people: no engine reads it, and they may write in it
LEFT_BEHIND = frozenset({".ds_store", ".directory", "thumbs.db", "desktop.ini"})
"""What file managers leave in a folder that was looked at; those of a Mac also ._NAME."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    format: str
    precision: Precision
    model: str  # the main file's name
    contract: ModelContract
    source: dict[str, Any]  # the run, its checkpoint's digest, its data, the exporter's package
    parity: dict[str, Any]  # by runtime
    environment: dict[str, Any]
    created: str
    interface: Interface = BARE
    quantised: dict[str, Any] | None = None  # how int8 came about

    @property
    def data(self) -> str:
        """What the run's images are called; older versions tell the data set alone."""
        return str(self.source.get("data", self.contract.dataset))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Written last: a folder without it is not an export."""
    files = [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.iterdir())
        if not is_clutter(path.name)
    ]
    write_json(folder / FILE_NAME, {"schema": SCHEMA, **to_data(manifest), "files": files})


def read_manifest(folder: Path) -> Manifest:
    """Read and check every file against it. Raises ModelFileError, before any runtime is asked."""
    path = folder / FILE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        check_schema(data, SCHEMA, path)
        manifest = Manifest(
            format=str(data["format"]),
            precision=data["precision"],
            model=str(data["model"]),
            contract=ModelContract.from_data(data["contract"]),
            interface=Interface.from_data(data["interface"]),
            source=dict(data["source"]),
            parity=dict(data["parity"]),
            environment=dict(data["environment"]),
            created=str(data["created"]),
            quantised=data.get("quantised"),
        )
        if manifest.precision not in get_args(Precision):
            raise ValueError(f"precision {manifest.precision!r:.40} is unknown")
        for name, proof in manifest.parity.items():
            if not (isinstance(proof, dict) and isinstance(proof.get("device", ""), str)):
                raise ValueError(f"no proof for {name!r:.40}")
        listed = {
            str(file["name"]): (int(file["bytes"]), str(file["sha256"])) for file in data["files"]
        }
    except OSError as error:
        raise ModelFileError(f"Cannot read: {error.strerror}.", where=path) from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ModelFileError(f"Damaged manifest: {error}.", where=path) from error
    _check_files(folder, manifest, listed)
    return manifest


def has_manifest(folder: Path) -> bool:
    """Whether there is one, however damaged; a web page, for one, has its own by that name."""
    if not (folder / FILE_NAME).is_file():
        return False
    try:
        data = read_json(folder / FILE_NAME)
    except CnnregError:
        return True
    return not isinstance(data, dict) or not data.keys().isdisjoint({"schema", "files"})


def source_of(folder: Path) -> dict[str, Any]:
    """What an export says it was made of, its files unchecked; empty where it does not say."""
    try:
        return dict(read_json(folder / FILE_NAME)["source"])
    except (CnnregError, KeyError, TypeError, ValueError):
        return {}


def same_run(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sources are one run, whatever it is called; older ones tell its name alone."""
    moment = "run_created" if "run_created" in one.keys() & other.keys() else "run"
    told = [name for name in ("checkpoint_sha256", moment) if name in one]
    return any(one[name] == other.get(name) for name in told)


def is_export_alone(folder: Path) -> bool:
    """Whether a folder holds an export, however damaged, and nothing that somebody wrote."""
    try:
        data = read_json(folder / FILE_NAME)
        listed = {file["name"]: file["sha256"] for file in data["files"]} | {FILE_NAME: ""}
    except (CnnregError, KeyError, TypeError):
        return False
    card = folder / CARD
    if card.is_file() and file_digest(card) != listed.get(CARD):
        return False
    return all(_may_go(path) or path.name in listed for path in folder.iterdir())


def _may_go(path: Path) -> bool:
    """Files that nobody made by hand: a hidden one may be somebody's, a folder always is."""
    left = path.name.lower() in LEFT_BEHIND or path.name.startswith("._")
    return left and path.is_file()


def _check_files(folder: Path, manifest: Manifest, listed: dict[str, tuple[int, str]]) -> None:
    cure = "Export the run again."
    present = {path.name for path in folder.iterdir() if not is_clutter(path.name)} - {FILE_NAME}
    if stray := sorted(present - listed.keys()):
        raise ModelFileError(
            f"File '{stray[0]}' is not in the manifest.",
            where=folder,
            hint="Move it elsewhere: an export's folder holds the export alone.",
        )
    if manifest.model not in listed:
        raise ModelFileError("The manifest does not list its model.", where=folder, hint=cure)
    for name, (size, digest) in listed.items():
        if name == CARD:
            continue
        path = folder / name
        if name not in present:
            raise ModelFileError("A file of the export is missing.", where=path, hint=cure)
        if path.stat().st_size != size:
            found = path.stat().st_size
            what = "Incomplete" if found < size else "Changed"
            message = f"{what}: {found} of {size} bytes."
            raise ModelFileError(message, where=path, hint=cure)
        if file_digest(path) != digest:
            raise ModelFileError("Its sha256 differs from the manifest.", where=path, hint=cure)


def is_clutter(name: str) -> bool:
    """What file managers leave in a folder that was looked at."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND
