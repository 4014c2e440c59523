"""`benchmarks/training.py` follows the trainer that it measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CHOOSE = """
import torch
from training import Data, _choose

from cnnreg.data import DataConfig
from cnnreg.registry import load_registry

torch.set_num_threads(1)
digits = Data(documented=None, config=DataConfig(name="digits"), size=8, augment="none")
chosen, facts = _choose(load_registry(), "mlp", digits)
print(facts["data"], chosen.epochs, "auto" in (chosen.precision, chosen.layout, chosen.compile))
"""


def test_the_recipe_is_settled_as_a_training_settles_it():
    command = [sys.executable, "-c", CHOOSE]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=BENCHMARKS)
    assert (done.returncode, done.stdout) == (0, "digits 20 False\n"), done.stderr
