"""The picture of a comparison."""

from __future__ import annotations

from cnnreg.pictures.comparison import draw_comparison
from comparisons import result, results, trial


def test_contestants_and_data_may_be_called_anything(tmp_path):
    odd = trial("$odd_{$ \ue123", data="犬 \ue123", architecture="\x00_net")
    draw_comparison([result(odd), result(trial("sgd"))], "$x_{$ \ue123", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_equal_comparisons_are_equal_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw_comparison(results({"adam": [0.9, 0.8]}), "x", tmp_path / name / "curves.png")
    for name in ("curves.png", "curves.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
