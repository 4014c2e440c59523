"""A stranger's network that trains but cannot be exported: refused by name, nothing published.

Through the command line, from a package on the path as a third party's would be.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnreg.files import LOCK
from helpers import cli, install_plugin

PLUGIN = """
from cnnreg import ArchitectureSpec, Paper, hookimpl

SIZES = {"parameters": 2410, "macs": 2400, "num_classes": 10, "input_shape": (1, 28, 28)}

def build(name):
    def built(options):
        from broken_nets_model import network
        return network(name, options)
    return built

@hookimpl
def cnnreg_architectures():
    paper = Paper(title="None", year=2026, url="https://example.org")
    return [
        ArchitectureSpec(
            name=name, family="broken", summary="breaks on export", build=build(name), paper=paper,
            licence="MIT", **SIZES,
        )
        for name in ("branching", "fixed_batch", "mirrored")
    ]
"""
MODEL = """
import torch
from torch import nn

@torch.library.custom_op("broken_nets::mirror", mutates_args=())
def mirror(images: torch.Tensor) -> torch.Tensor:
    return images.flip(-1)

@mirror.register_fake
def _(images):
    return torch.empty_like(images)

mirror.register_autograd(lambda context, gradient: gradient.flip(-1))

class Branching(nn.Module):
    def forward(self, features):
        return features if features.sum() > 0 else -features

class FixedBatch(nn.Module):
    def forward(self, features):
        return features.reshape(len(features), -1)[:, :784].reshape(-1, 1, 28, 28)

class Mirrored(nn.Module):
    def forward(self, features):
        return mirror(features)

def network(name, options):
    layers = {"branching": Branching, "fixed_batch": FixedBatch, "mirrored": Mirrored}
    body = nn.Sequential(nn.Identity(), layers[name]())
    return nn.Sequential(body, nn.Flatten(), nn.Linear(784, options.num_classes))
"""
SAID = {
    "branching": ["layer '0.1' (Branching)", "branches on the values"],
    "fixed_batch": ["layer '0.1' (FixedBatch)", "fixes the number of images"],
    "mirrored": ["broken_nets.mirror", "layer '0.1' (Mirrored)"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each network, trained for one epoch."""
    site = tmp_path_factory.mktemp("site")
    install_plugin(site, "broken-nets", broken_nets=PLUGIN, broken_nets_model=MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        folder = tmp_path_factory.mktemp("runs")
        for name in SAID:
            code, _, err = cli(
                "train", name, "--epochs", "1", "--precision", "fp32", "--layout", "contiguous",
                "--output", folder / name,
            )  # fmt: skip
            assert code == 0, err
        yield folder


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
@pytest.mark.parametrize("name", SAID)
def test_it_is_refused_by_name_and_nothing_is_published(runs: Path, name: str, format_name: str):
    exports = runs / name / "exports"
    code, out, err = cli("export", runs / name, f"--{format_name}", "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"]) == (8, "gate"), error
    assert [words for words in SAID[name] if words not in error["message"]] == []
    assert error["hint"]
    assert "forward" not in err  # torch's half of a graph
    assert [path.name for path in exports.iterdir() if path.name != LOCK] == []
