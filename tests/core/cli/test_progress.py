"""Bars: where nobody watches they leave nothing behind."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from cnnreg.cli.progress import DecodeProgress


def test_decoding_leaves_no_empty_line_where_nobody_watches():
    written = StringIO()
    with DecodeProgress(Console(file=written)) as bars:
        bars.update("train", 1, 2)
    assert not written.getvalue()
