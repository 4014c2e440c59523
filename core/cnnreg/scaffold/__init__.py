"""Make a new plugin package from the templates beside this file."""

from __future__ import annotations

import keyword
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from cnnreg import __version__
from cnnreg.errors import UsageError
from cnnreg.files import disk_errors, write_text
from cnnreg.specs import check_name

TEMPLATES = {
    "pyproject.toml.txt": "pyproject.toml",
    "readme.md.txt": "README.md",
    "init.py.txt": "src/$module/__init__.py",
    "model.py.txt": "src/$module/model.py",
    "test.py.txt": "tests/test_contract.py",
}

LONGEST = 60  # letters, so that the name of its network is none too long


def write_plugin(name: str, parent: Path) -> Path:
    """Write the package into `parent/name` and return that folder. Raises UsageError."""
    try:
        check_name("plugin", name)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    module = name.replace("-", "_")
    if not module.isidentifier() or keyword.iskeyword(module):
        raise UsageError(f"'{name}' cannot be a Python package.", hint="Choose another name.")
    if not name[-1].isalnum() or len(name) > LONGEST:
        raise UsageError(
            f"'{name}' cannot be a package of pip's.",
            hint=f"At most {LONGEST} characters, the last one a letter or digit.",
        )
    folder = parent / name
    if folder.exists():
        raise UsageError("The folder exists already.", where=folder)
    with suppress(PackageNotFoundError):
        raise UsageError(
            f"There is a package '{distribution(name).name}' already, which pip would replace.",
            hint="Choose another name.",
        )
    if find_spec(module) is not None:
        raise UsageError(
            f"There is a Python package '{module}' already, which this one would hide.",
            hint="Choose another name.",
        )
    names = {
        "name": name,
        "module": module,
        "architecture": f"{module}_net",
        "version": __version__,
    }
    for template, path in TEMPLATES.items():
        target = folder / Template(path).substitute(names)
        text = files(__package__).joinpath("templates", template).read_text(encoding="utf-8")
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, Template(text).substitute(names))
    return folder
