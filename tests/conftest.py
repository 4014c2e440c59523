"""Fixtures for all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnnreg.registry import Registry, load_registry


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees, or changes, the user's own settings."""
    monkeypatch.setenv("CNNREG_HOME", str(tmp_path / "cnnreg-home"))
    for name in ("CNNREG_PLUGINS", "CNNREG_STRICT", "CNNREG_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(autouse=True)
def ordinary_signals() -> Iterator[None]:
    """Signals as at a terminal: a background job starts with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
