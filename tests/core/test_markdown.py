"""Names from data are shown as they are: no tag, no link, no cell more."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from cnnreg.markdown import code, escape, table

EVIL = [
    "cat",
    "a|b",
    "<script>alert(1)</script>",
    "![x](http://example.org/x.png)",
    "[x](javascript:1)",
    "**bold** _it_ ~~no~~ `code`",
    "&lt;b&gt; &amp;",
    "back\\slash\\|",
    "www.example.org",
    "Grüner Baum 犬 🐈",
]


def shown(markdown: str) -> list[str]:
    """The texts of a table's cells as a reader sees them."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parsed = tokens.parse(markdown)
    cells = [token.children for token in parsed if token.type == "inline"]
    assert {child.type for cell in cells for child in cell} <= {"text", "text_special"}
    return ["".join(child.content for child in cell) for cell in cells]


@pytest.mark.parametrize("name", EVIL)
def test_a_name_is_one_cell_of_plain_text(name):
    assert shown(table(("class", ">n"), [(escape(name), "1")])) == ["class", "n", name, "1"]


def test_what_cannot_be_seen_is_shown_and_lines_stay_one():
    assert escape("a\nb\tc") == "a b c"
    assert escape("evil\u202etxt") == "evil�txt"
    assert escape("क\u200dष") == "क\u200dष"


@pytest.mark.parametrize("text", ["plain", "`", "a``b", "``", "<b>|"])
def test_code_holds_any_text(text):
    (token,) = [t for t in MarkdownIt().parse(code(text)) if t.type == "inline"]
    assert [(child.type, child.content) for child in token.children] == [("code_inline", text)]
