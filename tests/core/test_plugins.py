"""Plugins that break the interpreter itself, which no guard can catch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def python(tmp_path):
    """Runs it where a package is installed that crashes on import."""
    site = tmp_path / "site"
    metadata = site / "crashing-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "crashing.py").write_text("import os\n\nos.abort()\n", encoding="utf-8")
    (metadata / "METADATA").write_text("Name: crashing\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[cnnreg]\nbad = crashing\n", encoding="utf-8")
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONIOENCODING": "utf-8",
        "CNNREG_HOME": str(tmp_path / "home"),
    }
    environment.pop("PYTHONFAULTHANDLER", None)

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip

    return python


def test_a_crash_names_its_file_and_can_be_disabled(python):
    crashed = python("-m", "cnnreg", "list")
    assert crashed.returncode != 0
    assert str(Path("site", "crashing.py")) in crashed.stderr
    disabled = python("-m", "cnnreg", "plugins", "disable", "bad")
    assert (disabled.returncode, disabled.stdout) == (0, "plugin bad is disabled\n"), (
        disabled.stderr
    )
    assert python("-m", "cnnreg", "list").returncode == 0


GONE = """
import os, sys, tempfile
from importlib.metadata import EntryPoint
from cnnreg import discovery
from cnnreg.registry import load_registry
folder = tempfile.mkdtemp()
os.chdir(folder)
if sys.argv[1] == "torch":
    import torch
    torch.backends.cuda.matmul.fp32_precision = "tf32"  # with which the older getter fails
else:
    os.rmdir(folder)
discovery.entry_points = lambda group: [EntryPoint("mlp", "cnnreg_plugins.mlp", "cnnreg")]
assert [plugin.state for plugin in load_registry().plugins] == ["loaded"]
"""


@pytest.mark.skipif(os.name == "nt", reason="the folder in use cannot be removed there")
@pytest.mark.parametrize("odd", ["torch", "folder"])
def test_what_cannot_be_asked_for_of_the_process_costs_no_plugin(python, odd):
    done = python("-c", GONE, odd)
    assert done.returncode == 0, done.stderr


MEDDLING = """
import os, sys
sys.path.insert(0, sys.argv[1])
from importlib.metadata import EntryPoint
from cnnreg import discovery
from cnnreg.registry import load_registry
if sys.argv[2] == "first":
    import torch
here = os.getcwd()
discovery.entry_points = lambda group: [EntryPoint("meddling", "meddling", "cnnreg")]
assert [plugin.state for plugin in load_registry().plugins] == ["loaded"]
import torch
assert (os.getcwd(), torch.get_default_dtype(), torch.is_grad_enabled()) == (
    here, torch.float32, True
)
"""


@pytest.mark.parametrize("torch", ["first", "later"])
def test_what_a_module_changes_when_it_is_imported_costs_the_others_nothing(
    python, tmp_path, torch
):
    (tmp_path / "meddling.py").write_text(
        "import os, torch\nos.chdir('/')\ntorch.set_default_dtype(torch.float64)\n"
        "torch.set_grad_enabled(False)\n",
        encoding="utf-8",
    )
    done = python("-c", MEDDLING, str(tmp_path), torch)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("stderr", ["sys.stderr", "None", "io.StringIO()"])
@pytest.mark.parametrize("before", [False, True])
def test_what_tells_of_crashes_is_left_as_it_was(python, before, stderr):
    program = f"""
import faulthandler, io, sys
from cnnreg.plugins import load_plugins
if {before}:
    faulthandler.enable()
sys.stderr = {stderr}
load_plugins(only=())
print(faulthandler.is_enabled())
"""
    assert python("-c", program).stdout == f"{before}\n"
