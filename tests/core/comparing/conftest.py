"""Studies, and a PostgreSQL for the tests that share one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import postgresql
from cnnreg.comparing.database import Database
from cnnreg.comparing.study import Study


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    with postgresql.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> str | None:
    """What --storage says: nothing for SQLite."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def opened(storage, tmp_path, request):
    """Makes studies that are closed afterwards."""
    made = []

    def make(**options):
        database = Database(storage, tmp_path)
        made.append(Study(database, request.node.name, **{"heartbeat": 1, **options}))
        return made[-1]

    yield make
    for study in made:
        study.close()
