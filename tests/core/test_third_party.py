"""A third party's package: a real wheel, made from the scaffold, used as a stranger would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cnnreg as cnnreg_package
from helpers import cli


def run(*command: str | Path, path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A process that finds the packages unpacked in `path`."""
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip


def build(folder: Path, site: Path) -> None:
    """Build the wheel and unpack it, which is all that installing a pure one does."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(site)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for wheel in site.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(site)
        wheel.unlink()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("third-party")
    code, _, err = cli("plugins", "new", "my-nets", "--output", place)
    assert code == 0, err
    site = place / "site"
    site.mkdir()
    build(place / "my-nets", site)
    return place


def cnnreg(place: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run("-m", "cnnreg", *arguments, path=place / "site", cwd=place)


def test_it_asks_for_a_cnnreg_whose_hooks_it_knows(place):
    (metadata,) = (place / "site").glob("my_nets-*.dist-info/METADATA")
    assert f"Requires-Dist: cnn-registry~={cnnreg_package.__version__}" in metadata.read_text()


def test_it_passes_lint(place):
    pytest.importorskip("ruff")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", place / "my-nets"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_it_lists_trains_exports_and_predicts(place):
    listed = json.loads(cnnreg(place, "list", "my_nets_net", "--json").stdout)
    assert [(item["name"], item["plugin"]) for item in listed] == [("my_nets_net", "my-nets")]
    trained = cnnreg(place, "train", "my_nets_net", "--epochs", "2", "--json")
    assert trained.returncode == 0, trained.stderr
    exported = cnnreg(place, "export", "--onnx", "--openvino", "--json")
    assert exported.returncode == 0, exported.stderr
    assert [item["format"] for item in json.loads(exported.stdout)] == ["onnx", "openvino"]


def test_the_conformance_kit_passes(place):
    checked = cnnreg(place, "plugins", "check", "my-nets")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "export to OpenVINO" in checked.stdout


def test_its_own_test_passes(place):
    tested = run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests",
        path=place / "site", cwd=place / "my-nets",
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout


def test_the_kit_finds_what_is_wrong(place, tmp_path):
    folder = tmp_path / "my-nets"
    shutil.copytree(place / "my-nets", folder)
    module = folder / "src/my_nets/__init__.py"
    module.write_text(module.read_text().replace("24_346", "24_347"))
    (tmp_path / "site").mkdir()
    build(folder, tmp_path / "site")
    checked = run(
        "-m", "cnnreg", "plugins", "check", "my-nets", path=tmp_path / "site", cwd=tmp_path
    )
    assert checked.returncode == 6
    assert "declares 24,347 parameters, has 24,346" in checked.stdout


def test_a_name_that_is_no_package_is_refused(tmp_path):
    for name in ("My Nets", "9nets", "../nets", "nets-", "x" * 61, "class", "json", "torch"):
        code, _, err = cli("plugins", "new", name, "--output", tmp_path)
        assert code == 2, err
    assert list(tmp_path.iterdir()) == []
