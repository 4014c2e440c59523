"""A real PostgreSQL for the tests: its own folder, its own free port, gone afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

USER, PASSWORD = "tester", "s3c{r}et/%p@ss"


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((f for f in reversed(folders) if (f / "initdb").exists()), None)


def unprivileged() -> dict[str, Any]:
    """Popen's arguments for another user, where we are root: PostgreSQL refuses to run as root."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return {}
    import pwd

    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def server() -> Iterator[str]:
    """A running server; the URL of its database, password and all. Skips where there is none."""
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL's initdb and postgres are not installed")
    psycopg = pytest.importorskip("psycopg")
    # Not below pytest's own folder, which no other user may enter.
    place = Path(tempfile.mkdtemp(prefix="cnnreg-postgresql-"))
    someone = unprivileged()
    try:
        secret = place / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        for path in (place, secret) if someone else ():
            os.chown(path, someone["user"], someone["group"])
        options: dict[str, Any] = {"cwd": place, "env": {**os.environ, "LC_ALL": "C"}, **someone}
        subprocess.run(
            [folder / "initdb", "-D", place / "data", "-U", USER, "-A", "scram-sha-256",
             f"--pwfile={secret}", "--no-sync", "-E", "UTF8"],
            check=True, capture_output=True, **options,
        )  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(
                [folder / "postgres", "-D", place / "data", "-p", str(port),
                 "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                 "-c", "fsync=off"],
                stdout=log, stderr=log, **options,
            )  # fmt: skip
        url = f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
        try:
            for _ in range(300):
                assert process.poll() is None, (place / "log").read_text(encoding="utf-8")
                try:
                    psycopg.connect(url).close()
                    break
                except psycopg.OperationalError:
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()  # all connections are closed by now: no need to hurry it
            process.wait(30)
    finally:
        shutil.rmtree(place, ignore_errors=True)
