"""Which plugins are installed: packages as they lie on a disk, broken ones among them."""

from __future__ import annotations

import pytest

from cnnreg.registry import load_registry
from helpers import install_plugin


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder with a plugin `fine` and a package `odd`, whose files a test writes."""
    install_plugin(tmp_path, "fine", fine_plugin="")
    (tmp_path / "odd-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CNNREG_PLUGINS", "fine,odd,same")
    return tmp_path


def odd(site, entries, metadata="Name: odd\nVersion: 1.0\n"):
    """The plugins of a site whose odd package has these entries, those that are on and there."""
    folder = site / "odd-1.0.dist-info"
    (folder / "entry_points.txt").write_text(entries)
    if metadata:
        (folder / "METADATA").write_text(metadata)
    return {p.name: p for p in load_registry().plugins if p.state != "off" and p.module}


def test_a_package_without_metadata_costs_nothing(site):
    found = odd(site, "[cnnreg]\nfine = json\n", metadata="")
    assert {name: one.state for name, one in found.items()} == {
        ":fine": "loaded",
        "fine:fine": "loaded",
    }


@pytest.mark.parametrize("group", ["cnnreg", "console_scripts"])
def test_a_line_that_is_no_entry_costs_its_own_package_alone(site, group):
    found = odd(site, f"[{group}]\nno entry\n")
    assert found.pop("fine").state == "loaded"
    assert [one.state for one in found.values()] == ["failed"] * (group == "cnnreg")


def test_an_entry_that_points_nowhere_says_what_is_wrong(site):
    reason = odd(site, "[cnnreg]\nodd = my-nets.model\n")["odd"].reason
    assert reason == "PluginError: 'my-nets.model' is neither MODULE nor MODULE:OBJECT"
