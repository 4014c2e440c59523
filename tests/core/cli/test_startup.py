"""Start-up: what must not be imported, and what a broken plugin must not break."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
    "matplotlib",
    "optuna",
    "sqlalchemy",
    "scipy",
)

PROBE = """
import sys
from cnnreg.cli import main
try:
    main({arguments!r})
except SystemExit as end:
    assert not end.code, end.code
loaded = [name for name in {heavy!r} if name in sys.modules]
assert not loaded, loaded
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--json"],
        ["list", "--kind", "runtimes"],
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["compare", "--help"],
        ["export", "--help"],
        ["plugins"],
        ["runs", "--json"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(arguments):
    code = PROBE.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_public_names_import_nothing_heavy():
    code = f"import cnnreg, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_sorted_and_whole():
    import types

    import cnnreg

    public = {
        name
        for name, value in vars(cnnreg).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    } - {"annotations", "Any", "TYPE_CHECKING"} | set(cnnreg._VERBS)
    assert all(callable(getattr(cnnreg, name)) for name in cnnreg._VERBS)
    assert cnnreg.__all__ == sorted(public)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list", "--json"], 141),
        (["list"], 141),
        (["info", "vgg11"], 141),
        (["eval", "none", "--json"], 2),  # an error of its own, read by nobody
    ],
    ids=str,
)
def test_a_reader_that_goes_away_is_no_error(arguments, code):
    """click and rich each have their own idea of a broken pipe, and Python flushes on exit."""
    line = f"from cnnreg.cli import main; main({arguments!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    _, err = process.communicate(timeout=120)
    assert err == b""
    assert process.returncode == code
