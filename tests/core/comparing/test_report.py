"""The report's files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from io import StringIO

import pytest
from markdown_it import MarkdownIt

from cnnreg.comparing import report
from cnnreg.comparing.report import (
    HEADINGS,
    csv_text,
    markdown,
    note,
    report_data,
    row,
    write_report,
)
from cnnreg.comparing.results import cells, failed_result
from cnnreg.errors import MachineError
from cnnreg.files import write_text
from comparisons import result, results, trial

GIVEN = results({"adam": [0.9, 0.92], "sgd": [0.5, None], "momentum": [None, None]})


def test_a_row_says_mean_spread_and_what_was_lost():
    adam, sgd, momentum = map(row, cells(GIVEN))
    assert adam == (
        "adam", "0.001", "2", "91.00 ± 1.41", "91.00 ± 1.41", "2.0 ± 0.0", "1.00 ± 0.00",
    )  # fmt: skip
    assert sgd[2:5] == ("1 of 2", "50.00", "50.00")
    assert momentum[2:5] == ("0 of 2", "diverged", "diverged")


def test_what_failed_is_told_with_its_reason(tmp_path):
    lost = [failed_result(trial(name, seed=2), "Out of memory.") for name in ("adam", "adagrad")]
    adam, *_, adagrad = map(row, cells([*GIVEN, *lost]))
    assert adam[2:4] == ("2 of 3", "91.00 ± 1.41")
    assert adagrad[2:] == ("0 of 1", "failed", "failed", "-", "-")
    said = "mlp on digits, adam 0.001, seed 2, failed: Out of memory."
    assert said in markdown("x", [*GIVEN, *lost], "curves.png")
    line, _ = csv.DictReader(StringIO(csv_text(lost)))
    assert (line["state"], line["failure"], line["val_accuracy"]) == (
        "failed", "Out of memory.", "",
    )  # fmt: skip
    data = report_data("x", [*GIVEN, *lost])
    assert data["table"][0]["failed"] == 1
    (verdict,) = data["verdicts"]
    assert verdict["leader"] == "adam (0.001)"
    assert verdict["behind"] == {"adagrad (0.001)": 0}
    write_report(tmp_path, "x", [result(trial()), *lost])


def test_minutes_are_of_different_machines_only_where_two_have_finished_a_trial():
    lost = failed_result(trial(seed=2), "Out of memory.")
    assert "different machines" not in note([*GIVEN, lost])
    assert "different machines" in note([*GIVEN, replace(result(trial(seed=2)), host="there")])


def test_a_line_of_csv_for_each_trial():
    lines = list(csv.DictReader(StringIO(csv_text(GIVEN))))
    assert len(lines) == 6
    assert [line["state"] for line in lines].count("diverged") == 3
    assert (lines[1]["optimizer"], lines[1]["seed"], lines[1]["test_accuracy"]) == (
        "adam", "1", "0.92",
    )  # fmt: skip
    assert lines[5]["val_accuracy"] == ""


def test_the_data_hold_all_of_it_as_valid_json():
    data = json.loads(json.dumps(report_data("x", GIVEN), allow_nan=False))
    assert data["table"][0]["val_accuracy"] == pytest.approx(
        {"mean": 0.91, "deviation": 0.0141421, "n": 2}, rel=1e-4
    )
    assert len(data["trials"]) == 6
    assert data["verdicts"][0]["leader"] == "adam (0.001)"


def test_the_markdown_has_both_tables_and_the_verdict():
    two_rates = [*GIVEN, result(trial("adam", 0.1), 0.3), result(trial("adam", 0.1, 1), 0.3)]
    best, everything = markdown("x", two_rates, "curves.png").split("## All")
    assert "| adam | 0.001 |" in best
    assert "| adam | 0.1 |" not in best
    assert "| adam | 0.1 |" in everything
    assert "has the highest mean validation accuracy" in best


def test_what_a_name_or_an_error_holds_is_no_markdown():
    evil = "<img src=x> ![y](z) |"
    lost = failed_result(trial("adam", architecture=evil), f"Out of {evil}.")
    won = [result(trial(name, architecture="net <b>"), 0.5) for name in ("sgd", evil)]
    text = markdown(evil, [lost, *won], "curves.png")
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    assert "html_block" not in {token.type for token in tokens}
    assert "html_inline" not in {child.type for child in inline}
    assert [child.attrs["src"] for child in inline if child.type == "image"] == ["curves.png"]
    assert {len(line) for line in _rows(tokens)} == {len(HEADINGS)}


def _rows(tokens):
    """The cells of each line of the tables."""
    kinds = [token.type for token in tokens if token.type in ("tr_open", "th_open", "td_open")]
    return [line.split() for line in " ".join(kinds).split("tr_open")[1:]]


def test_a_table_that_is_open_in_excel_costs_nothing_else(tmp_path, monkeypatch):
    def held(path, text):
        if path.suffix == ".csv":
            raise MachineError("Cannot write: Access is denied.", where=path)
        write_text(path, text)

    monkeypatch.setattr(report, "write_text", held)
    with pytest.raises(MachineError):
        write_report(tmp_path, "x", GIVEN)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"report.md", "results.json", "curves.png", "curves.svg"}


def test_the_files_and_the_pictures(tmp_path):
    write_report(tmp_path / "new", "x", GIVEN)
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"report.md", "results.csv", "results.json", "curves.png", "curves.svg"}
    assert (tmp_path / "new/curves.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (tmp_path / "new/curves.svg").read_text(encoding="utf-8")
