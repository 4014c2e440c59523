from __future__ import annotations

import signal

import pytest

from cnnreg.errors import StoppedError
from cnnreg.files import temporary_folder
from cnnreg.interrupts import terminable


def test_sigterm_ends_with_143_and_leaves_nothing_half_made(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError) as caught, terminable(), temporary_folder(tmp_path / "new"):
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception:
            pytest.fail("a converter could swallow it")
    assert caught.value.exit_code == 143
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_passes_as_it_is():
    with pytest.raises(KeyboardInterrupt), terminable():
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with terminable():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
