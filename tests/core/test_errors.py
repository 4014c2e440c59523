"""What an error is, whoever raised it."""

from __future__ import annotations

import errno

import pytest

from cnnreg.errors import is_out_of_memory, one_line


def windows_error(number: int) -> OSError:
    """In a translation, under the errno that most of Windows' own numbers get."""
    error = OSError(errno.EINVAL, "Die Auslagerungsdatei ist zu klein")
    error.winerror = number
    return error


@pytest.mark.parametrize("number", [8, 14, 1455])
def test_windows_says_by_number_that_memory_is_short(number):
    assert is_out_of_memory(windows_error(number))
    assert not is_out_of_memory(windows_error(87))


def test_so_does_linux():
    assert is_out_of_memory(OSError(errno.ENOMEM, "Kann keinen Speicher reservieren"))
    assert not is_out_of_memory(OSError(errno.EACCES, "Keine Berechtigung"))


def test_the_text_of_a_foreign_error_is_cut():
    assert one_line(ValueError("x" * 9999)) == f"ValueError: {'x' * 297}..."
