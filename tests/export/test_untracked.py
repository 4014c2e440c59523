from __future__ import annotations

import re
import subprocess
import sys

import pytest

from cnnreg import MachineError
from cnnreg_export import untracked as module

PROGRAM = """
import os, sys
from cnnreg_export.untracked import untracked
openvino, nncf = untracked("openvino"), untracked("nncf")
assert openvino.__name__ == "openvino" and nncf.__name__ == "nncf"
assert sys.modules["openvino_telemetry"] is None
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
import onnxruntime
asked = []
onnxruntime.disable_telemetry_events = lambda: asked.append(1)
untracked("onnxruntime")
assert asked == [1]
"""


def test_the_engines_load_without_their_usage_reports() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ImportError("DLL load failed while importing onnxruntime_pybind11_state"), MachineError),
        (OSError("libomp.so: cannot open shared object file"), MachineError),
        (ImportError("cannot import name 'x'"), ImportError),
    ],
)
def test_a_package_whose_libraries_do_not_load_is_the_machines_fault(monkeypatch, error, shown):
    def broken(name: str) -> None:
        raise error

    monkeypatch.setattr(module, "import_module", broken)
    with pytest.raises(shown, match=re.escape(str(error))) as caught:
        module.untracked("onnxruntime")
    assert type(caught.value) is shown
