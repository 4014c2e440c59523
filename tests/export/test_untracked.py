from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from cnnreg_export.untracked import untracked
openvino, nncf = untracked("openvino"), untracked("nncf")
assert openvino.__name__ == "openvino" and nncf.__name__ == "nncf"
assert sys.modules["openvino_telemetry"] is None
"""


def test_openvino_and_nncf_load_without_their_usage_reports() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
