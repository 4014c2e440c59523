"""The examples of docs/plugins.md are one plugin, and it works."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import cli, install_plugin

PAGE = (Path(__file__).parents[2] / "docs/plugins.md").read_text(encoding="utf-8")


def example(language: str, mark: str) -> str:
    found = [
        text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if mark in text
    ]
    assert len(found) == 1, mark
    return found[0]


@pytest.fixture
def leaves(tmp_path, monkeypatch):
    """The plugin, installed, and its data."""
    site, folder = tmp_path / "site", tmp_path / "data/leaves"
    site.mkdir()
    folder.mkdir(parents=True)
    parts = (
        "open_leaves", "build_nadam", "cnnreg_recipes", "write_pt2", "open_pt2", "cnnreg_commands",
        "cnnreg_epoch_finished",
    )  # fmt: skip
    install_plugin(site, "leaves", leaves="\n".join(example("python", part) for part in parts))
    (site / "leaves.toml").write_text(example("toml", "nadam"))
    monkeypatch.syspath_prepend(site)
    random = np.random.default_rng(0)
    lines = ["file,species"]
    for number in range(60):
        species = ("oak", "ash")[number % 2]
        pixels = random.integers(0, 100, (32, 32, 3)) + (100 if species == "oak" else 0)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{species}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def test_it_offers_all_that_a_plugin_can(leaves, tmp_path):
    run = tmp_path / "run"
    code, out, err = cli(
        "train", "mlp", "--data", "leaves", "--data-dir", leaves.parent, "--recipe", "leaves",
        "--log", "leaves", "--output", run, "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["test_accuracy"] > 0.9
    told = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert told["recipe"]["optimizer"] == "nadam"
    assert told["contract"]["classes"] == ["ash", "oak"]
    assert len((run / "epochs.txt").read_text().splitlines()) == told["recipe"]["epochs"]

    code, out, err = cli("export", run, "--pt2", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["parity"]["pt2-engine"]["agreement"] == 1
    code, out, err = cli("predict", run / "exports/pt2-fp32", leaves / "0.png", "--json")
    assert code == 0, err
    code, _, err = cli("export", run, "--pt2", "--embed")
    assert (code, "the bare network alone" in err) == (2, True)
    assert cli("leaf", "oak")[:2] == (0, "oak: a tree\n")


def test_each_example_stands_alone():
    for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        if "@hookimpl" in text:
            exec(compile(text, "<example>", "exec"), {"__file__": __file__, "__name__": "leaves"})


def test_data_that_are_missing_are_asked_for(leaves, tmp_path):
    code, _, err = cli("train", "mlp", "--data", "leaves", "--data-dir", tmp_path / "empty")
    assert (code, "Unpack leaves.zip there." in err) == (3, True)
