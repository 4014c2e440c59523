"""The layout: entry points, wheel, docs and source must agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from cnnreg import hookspecs
from cnnreg.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PACKAGES = {"cnnreg": "core", "cnnreg_plugins": "plugins", "cnnreg_export": "export"}
SOURCES = [
    path for package, root in PACKAGES.items() for path in (ROOT / root / package).rglob("*.py")
]

READER = ROOT / "core" / "cnnreg" / "importing" / "child.py"
"""The one file that may open a pickle: in a process of its own, for tensors alone."""


def declared() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["entry-points"]["cnnreg"]


def test_installed_entry_points_are_those_of_pyproject():
    installed = {
        point.name: point.value
        for point in entry_points(group="cnnreg")
        if point.dist and point.dist.name == "cnn-registry"
    }
    assert installed == declared(), "entry points freeze at install: run `pip install -e .` again"


def test_every_plugin_folder_has_an_entry_point():
    modules = set(declared().values())
    for path in (*(ROOT / "plugins").rglob("*.py"), *(ROOT / "export").rglob("*.py")):
        if "@hookimpl" in path.read_text(encoding="utf-8"):
            relative = path.relative_to(path.parents[len(path.relative_to(ROOT).parts) - 2])
            module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            assert module in modules, f"{module} implements hooks but has no entry point"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_source_file(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for package, root in PACKAGES.items():
        for path in (ROOT / root / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert path.relative_to(ROOT / root).as_posix() in names
    assert not [name for name in names if name.startswith(("tests/", "core/"))]


def test_a_heading_in_the_docs_for_each_hook():
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    hooks = {
        name: list(value.__code__.co_varnames[: value.__code__.co_argcount])
        for name, value in vars(hookspecs).items()
        if name.startswith("cnnreg_")
    }
    headings = re.findall(r"^### `(cnnreg_\w+)\((.*)\)`", text, re.MULTILINE)
    assert {name: [a for a in args.split(", ") if a] for name, args in headings} == hooks


def test_every_command_is_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"cnnreg {name}" not in text] == []


def test_the_readme_knows_how_many_networks_there_are(registry):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (count,) = re.findall(r"Train any of (\d+) image classifiers", text)
    assert int(count) == len(registry.architectures)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_in_the_package_can_run_what_a_file_says(path):
    banned = {"eval", "exec", "__import__"}
    banned_modules = {"pickle", "marshal", "shelve", "dill", "joblib", "yaml"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in banned, f"{node.func.id} at line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            assert (owner, node.func.attr) != ("torch", "save")
            if (owner, node.func.attr) == ("torch", "load"):
                assert path == READER, f"torch.load at line {node.lineno}"
                words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert words.get("weights_only") == "True"
            assert not any(word.arg == "shell" for word in node.keywords)
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        module = node.module if isinstance(node, ast.ImportFrom) else None
        for name in (*names, module or ""):
            assert name.split(".")[0] not in banned_modules, f"{name} at line {node.lineno}"
