"""A container's share of the processors' time, wherever its limit is written."""

from __future__ import annotations

import pytest

from cnnreg.machine import cgroups
from cnnreg.machine.cgroups import processor_share


@pytest.fixture
def share(monkeypatch, tmp_path):
    """What is found where this process's groups are `own`, and these files lie in their tree."""

    def share(own, files):
        for name, text in files.items():
            (path := tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (tmp_path / "own").write_text(own, encoding="utf-8")
        monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")
        monkeypatch.setattr(cgroups, "ROOT", tmp_path / "tree")
        return processor_share()

    return share


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("200000 100000\n", 2.0),
        ("150000 100000\n", 1.5),
        ("0 100000\n", 0.0),
        ("max 100000\n", None),
        ("200000 0\n", None),
        ("", None),
    ],
)
def test_a_containers_own_group_is_the_root_of_what_it_sees(share, told, found):
    assert share("0::/\n", {"cpu.max": told}) == found
    assert share("0::/docker/of/the/host\n", {}) == found


def test_the_tightest_of_the_groups_around_a_process_counts(share):
    files = {
        "user.slice/cpu.max": "max 100000\n",
        "user.slice/job/cpu.max": "200000 100000\n",
        "user.slice/job/step/cpu.max": "300000 100000\n",
        "other.slice/cpu.max": "100000 100000\n",
    }
    assert share("0::/user.slice/job/step\n", files) == 2.0
    assert share("0::/user.slice\n", {}) is None


def test_in_version_1_the_hierarchy_of_the_processors_is_asked(share):
    own = "9:name=systemd:/a\n4:memory:/a\n3:cpuset:/a\n1:cpu,cpuacct:/a/b\n0::/\n"
    files = {
        "cpu/cpu.cfs_quota_us": "-1\n",
        "cpu/cpu.cfs_period_us": "100000\n",
        "cpu/a/cpu.cfs_quota_us": "250000\n",
        "cpu/a/cpu.cfs_period_us": "100000\n",
    }
    assert share(own, files) == 2.5
    assert share("1:cpu:/\n", {}) is None


def test_other_systems_have_no_groups(monkeypatch, tmp_path):
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "none")
    assert processor_share() is None
