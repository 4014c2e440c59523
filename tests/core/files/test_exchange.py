"""Two names change places in one step, or not at all."""

from __future__ import annotations

import os

import pytest

from cnnreg.files.exchange import exchange


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot exchange two folders")
def test_two_folders_change_places(tmp_path):
    for name in ("ä", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"of {name}").write_text("")
    assert exchange(tmp_path / "ä", tmp_path / "b")
    assert (tmp_path / "ä" / "of b").exists()
    assert (tmp_path / "b" / "of ä").exists()


def test_what_is_not_there_changes_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    assert not exchange(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
