"""The database behind a study: SQLite beside the results, or PostgreSQL for many machines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from cnnreg.errors import CnnregError, MachineError, MissingExtraError, UsageError, one_line
from cnnreg.files import disk_errors

from .folder import DATABASE
from .liveness import MISSED, lives

LOCK = 0x636E6E726567  # "cnnreg": PostgreSQL's advisory locks are numbers
SILENCE = "2min"  # after which the server takes the lock from its holder, as after a power cut
BUSY_TIMEOUT = 60.0  # seconds that SQLite waits for another writer


class Database:
    """Where a study lies. Nothing shown or written names the user or the password."""

    def __init__(self, storage: str | None, folder: Path) -> None:
        self.url = _url(storage) if storage else _sqlite(folder / DATABASE)
        self._file = Path(self.url.database) if self._is_sqlite and self.url.database else None
        if self._file:
            with disk_errors(self._file):
                self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            # The lock's connection lies idle for as long as a training takes.
            self._engine = sqlalchemy.create_engine(self.url, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "psycopg", "postgresql") from error

    @property
    def _is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def place(self) -> str:
        """For people: where it lies, free of credentials."""
        if self._file:
            return str(self._file)
        port = f":{self.url.port}" if self.url.port else ""
        return f"postgresql://{self.url.host or 'localhost'}{port}/{self.url.database or ''}"

    @property
    def shared(self) -> bool:
        return not self._is_sqlite

    def storage(self) -> Storage:
        """Optuna's tables, made if they are not there; call it while `alone`."""
        # Optuna fills {SCHEMA_VERSION} into the URL: braces of a password are doubled.
        text = self.url.render_as_string(hide_password=False)
        waiting = {"connect_args": {"timeout": BUSY_TIMEOUT}} if self._is_sqlite else {}
        try:
            storage = Storage(
                text.replace("{", "{{").replace("}", "}}"),
                engine_kwargs={"pool_pre_ping": True, **waiting},
            )
        except RuntimeError as error:  # tables of another version of Optuna
            raise MachineError(f"{one_line(error)[:200]}.", where=self.place) from None
        if not self._is_sqlite:
            sqlalchemy.event.listen(storage.engine, "connect", _in_utc)
            storage.engine.dispose()  # what was connected before
        return storage

    @contextmanager
    def alone(self) -> Iterator[Callable[[], None]]:
        """One worker at a time, on all machines. A worker that dies in here lets go of it.

        Who takes long calls what this gives, at least once a minute.
        """
        if self._file:
            from filelock import FileLock

            with FileLock(f"{self._file}.lock"):
                yield lambda: None
            return
        with self._engine.begin() as connection:
            connection.exec_driver_sql(
                f"SET LOCAL idle_in_transaction_session_timeout = '{SILENCE}'"
            )
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
            yield lambda: connection.exec_driver_sql("SELECT 1").close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the database says into one line."""
        try:
            yield
        except CnnregError:
            raise
        except Exception as error:
            cause = _database_error(error)
            if cause is None:
                raise
            raise DatabaseError(
                f"The study's database failed: {self._without_secrets(str(cause))[:200]}.",
                where=self.place,
                hint="What was trained is saved: run the same command again.",
            ) from None  # a traceback of the driver's could show the URL

    def _without_secrets(self, text: str) -> str:
        line = next(iter(text.splitlines()), "").rstrip(".")
        secrets = (self.url.password, self.url.username, *map(str, self.url.query.values()))
        for secret in filter(None, secrets):
            line = re.sub(rf"(?<!\w){re.escape(str(secret))}(?!\w)", "***", line)
        return line

    def close(self) -> None:
        self._engine.dispose()


class DatabaseError(MachineError):
    """Of the study as a whole, whichever trial it came to light in."""


def _in_utc(connection: Any, record: object) -> None:
    """Optuna compares heartbeats in the session's own time, which summer moves by an hour."""
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
    connection.commit()


class Storage(RDBStorage):
    def beat(self, seconds: int) -> None:
        """Give a sign of life that often, and expect it of the others."""
        self.heartbeat_interval = seconds
        self.grace_period = MISSED * seconds

    def record_heartbeat(self, trial_id: int) -> None:
        """A beat that does not get through is left out; an error would end all further ones."""
        try:
            super().record_heartbeat(trial_id)
        except (SQLAlchemyError, StorageInternalError):
            return

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Not of a worker that is seen to live: it may be suspended, or wait for the disk."""
        return [
            number
            for number in super()._get_stale_trial_ids(study_id)
            if not lives(self.get_trial(number).user_attrs.get("worker"))
        ]


def _database_error(error: BaseException) -> BaseException | None:
    """What the driver said, if that led to `error`: Optuna fails anew while it handles it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, SQLAlchemyError):
        cause = cause.__cause__ or cause.__context__
    return getattr(cause, "orig", None) or cause


def _sqlite(path: Path) -> URL:
    return URL.create("sqlite", database=str(path.absolute()))


def _url(text: str) -> URL:
    try:
        url = sqlalchemy.make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        backend = ""
    if backend in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database:
        return url
    raise UsageError(
        "This storage is not understood.",  # not repeated: it may hold a password
        hint="--storage postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:///FILE",
    )
