"""Fixtures for all tests."""

from __future__ import annotations

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
