"""Names of classes, from a file or ImageNet's."""

from __future__ import annotations

import pytest

from cnnreg.errors import DataError
from cnnreg.importing.classes import read_classes


@pytest.mark.parametrize(
    "content", ["cat\n dog \n\nKöter\n", "\ufeffcat\r\ndog\r\nKöter", '["cat", "dog", "Köter"]']
)
def test_lines_or_a_list(tmp_path, content):
    (tmp_path / "names").write_bytes(content.encode())
    assert read_classes(str(tmp_path / "names")) == ("cat", "dog", "Köter")


def test_those_of_imagenet():
    names = read_classes("imagenet")
    assert (len(names), len(set(names)), names[0]) == (1000, 1000, "tench")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"cat\ncat", "'cat' is named twice"),
        (b'["cat", 3]', "no text"),
        (b'["cat", ""]', "without a name"),
        (b'["cat"', "Not a JSON list"),
        (b"\xff\xfe", "no UTF-8"),
        (None, "cannot be read: .*a name a line"),
    ],
)
def test_what_names_nothing(tmp_path, content, said):
    if content is not None:
        (tmp_path / "names").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_classes(str(tmp_path / "names"))
