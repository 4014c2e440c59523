"""Fixtures for all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnnreg.registry import Registry, load_registry
from helpers import pictures


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees, or changes, the user's own settings."""
    monkeypatch.setenv("CNNREG_HOME", str(tmp_path / "cnnreg-home"))
    for name in ("PLUGINS", "STRICT", "DEBUG", "CACHE"):
        monkeypatch.delenv(f"CNNREG_{name}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a container's user that has no name."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CNNREG_HOME")
    monkeypatch.setattr(Path, "home", nowhere)


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Bits depend on the number of threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def ordinary_signals() -> Iterator[None]:
    """Signals as at a terminal: a background job starts with SIGINT ignored, nohup SIGHUP."""
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def no_pictures() -> Iterator[None]:
    with pictures(drawn=False):
        yield


@pytest.fixture
def with_pictures() -> Iterator[None]:
    with pictures(drawn=True):
        yield
