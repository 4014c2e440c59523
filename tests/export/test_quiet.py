from __future__ import annotations

import logging
import subprocess
import sys
import warnings

import pytest

from cnnreg_export.quiet import quiet

EXPORT = """
import sys
from pathlib import Path
import numpy as np
from torch import nn
from cnnreg import ExportRequest, ModelContract, load_registry

contract = ModelContract(
    architecture="tiny", plugin="tests 1.0", num_classes=2, input_shape=(1, 8, 8), form="standard",
    dropout=None, classes=("a", "b"), mean=(0.5,), std=(0.5,), resize="crop", dataset="none",
)
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
for exporter in load_registry().exporters.specs:
    folder = Path(sys.argv[1]) / exporter.name
    folder.mkdir()
    exporter.write(
        ExportRequest(
            model=model, contract=contract, precision="int8", folder=folder, metadata={},
            calibration=np.zeros((4, 8, 8, 1), np.uint8),
        )
    )
"""


def test_a_normal_export_prints_nothing_at_all(tmp_path: object) -> None:
    command = [sys.executable, "-c", EXPORT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_quiet_lets_errors_pass_and_restores_everything(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match="seen"), quiet():
        sys.stdout.write("unseen")
        logging.getLogger("library").error("unseen")
        warnings.warn("unseen", stacklevel=1)
        raise ValueError("seen")
    sys.stdout.write("shown")
    logging.getLogger("library").error("logged")
    assert capsys.readouterr().out == "shown"
    assert [record.message for record in caplog.records] == ["logged"]
