"""Names of classes, from a file or ImageNet's."""

from __future__ import annotations

import json

import pytest

from cnnreg.errors import DataError
from cnnreg.importing.classes import read_classes


@pytest.mark.parametrize(
    "content",
    [
        "cat\n dog \n\nKöter\n",
        "\ufeffcat\r\ndog\r\nKöter",
        '["cat", "dog", "Köter"]',
        '{"1": "dog", "0": "cat", "2": "Köter"}',
        '{"0": ["n02", "cat"], "1": ["n01", "dog"], "2": ["n03", "Köter"]}',
    ],
)
def test_lines_or_json(tmp_path, content):
    (tmp_path / "names").write_bytes(content.encode())
    assert read_classes(str(tmp_path / "names")) == ("cat", "dog", "Köter")


@pytest.mark.parametrize("content", ["[unk]\ncat\ndog", "[unk]\r\ncat\r\ndog\r\n"])
def test_a_class_in_brackets_makes_no_list(tmp_path, content):
    (tmp_path / "names").write_bytes(content.encode())
    assert read_classes(str(tmp_path / "names")) == ("[unk]", "cat", "dog")


def test_only_a_new_line_ends_a_name(tmp_path):
    (tmp_path / "names").write_bytes("a\u2028b\nc".encode())
    assert read_classes(str(tmp_path / "names")) == ("a\u2028b", "c")


def test_those_of_imagenet():
    names = read_classes("imagenet")
    assert (len(names), len(set(names)), names[0]) == (1000, 1000, "tench")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"cat\ncat", "'cat' is named twice"),
        (b'["cat", 3]', "no text"),
        (b'["cat", ""]', "without a name"),
        (b'["cat"', "Not whole JSON"),
        (b'{"0": "cat", "2": "dog"}', "without the class '1'.*names by number"),
        (b'{"cat": 0, "dog": 1}', "without the class '0'"),
        (b'{"0": "cat", "1": []}', "no text"),
        (b"cat", "The file names 1 class; two are needed"),
        (b"", "names 0 classes"),
        (b"\xff\xfe", "no UTF-8"),
        (None, "cannot be read: .*a name a line"),
    ],
)
def test_what_names_nothing(tmp_path, content, said):
    if content is not None:
        (tmp_path / "names").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_classes(str(tmp_path / "names"))


def test_imagenets_two_cranes_are_told_apart_by_their_codes(tmp_path):
    coded = {"0": ["n02012849", "crane"], "1": ["n02015554", "heron"], "2": ["n03126707", "crane"]}
    (tmp_path / "index.json").write_text(json.dumps(coded))
    names = read_classes(str(tmp_path / "index.json"))
    assert names == ("crane (n02012849)", "heron", "crane (n03126707)")


def test_a_name_that_would_drive_the_terminal_is_refused(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n\x1b]0;owned\x07dog\n")
    with pytest.raises(DataError, match="control characters"):
        read_classes(str(tmp_path / "names.txt"))


def test_a_tab_between_a_code_and_a_name_is_no_harm(tmp_path):
    (tmp_path / "words.txt").write_text("n01440764\ttench\nn01443537\tgoldfish\n")
    assert len(read_classes(str(tmp_path / "words.txt"))) == 2


@pytest.mark.parametrize("content", ['{"0": "crane", "1": "crane"}', '{"0": "a", "1": ["b", "a"]}'])
def test_a_name_without_a_code_gets_none(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    if "crane" in content:
        with pytest.raises(DataError, match="The class 'crane' is named twice"):
            read_classes(str(tmp_path / "index.json"))
    else:
        assert read_classes(str(tmp_path / "index.json")) == ("a", "a (b)")
