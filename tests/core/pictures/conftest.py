"""A letter that cannot be drawn is a warning of matplotlib's: here it fails."""

from __future__ import annotations

import warnings

import pytest


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
