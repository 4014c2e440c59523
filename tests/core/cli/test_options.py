"""Options that several commands have."""

from __future__ import annotations

import click
import pytest

from cnnreg.cli.common import NumberRange
from cnnreg.cli.options import Listed


def test_several_stand_with_commas_between_them():
    names = Listed(click.STRING)
    assert names.convert(" my photos, digits,,", None, None) == ("my photos", "digits")
    assert Listed(NumberRange()).convert("0.5,0.5", None, None) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (click.STRING, " ,", "it is empty"),
        (NumberRange(), "1,nan", "nan is not a number"),
        (NumberRange(), "1,x", "'x' is not a valid number"),
        (click.Choice(["fp32", "int8"]), "fp32,int4", "'int4' is not one of"),
    ],
)
def test_each_is_checked_as_one_would_be(kind, text, said):
    with pytest.raises(click.BadParameter, match=said):
        Listed(kind).convert(text, None, None)
