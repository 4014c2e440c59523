"""Cold start: `cnnreg list` against the ways one lists models elsewhere, interleaved.

    python benchmarks/startup.py [--runs 20]

Each run is a new process. Prints the median, the quartiles and the ratio of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from statistics import median, quantiles
from time import perf_counter

from cnnreg.machine.environment import environment

CONTESTANTS = {
    "cnnreg list": [sys.executable, "-m", "cnnreg", "list"],
    "cnnreg --help": [sys.executable, "-m", "cnnreg", "--help"],
    "torchvision.models.list_models()": [
        sys.executable,
        "-c",
        "import torchvision; print(torchvision.models.list_models())",
    ],
    "import torch": [sys.executable, "-c", "import torch"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


# Compiled files are kept, as in any ordinary installation.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for number in range(runs + 1):  # the first round warms the disk cache and is not counted
        for name, command in CONTESTANTS.items():
            started = perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
            if number:
                times[name].append(1000 * (perf_counter() - started))
    ours = median(times["cnnreg list"])
    print(f"{'milliseconds, n = ' + str(runs):<36}{'median':>9}{'quartiles':>18}{'ratio':>9}")
    for name, own in times.items():
        low, _, high = quantiles(own, n=4)
        print(f"{name:<36}{median(own):>9.0f}{low:>9.0f}-{high:<8.0f}{median(own) / ours:>8.1f}x")
    print(json.dumps(environment(), indent=2))


if __name__ == "__main__":
    main()
