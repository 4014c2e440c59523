"""A plugin's network or optimizer that fails in training is said so before there is a run."""

from __future__ import annotations

import json

import pytest

from helpers import cli, install_plugin

PLUGIN = """
from functools import partial

from cnnreg import ArchitectureSpec, OptimizerSpec, Paper, hookimpl

SIZES = {"parameters": 7850, "macs": 7840, "num_classes": 10, "input_shape": (1, 28, 28)}
NAMES = (
    "sound", "failing", "of_two", "headless", "late", "of_three", "tested", "listing", "viewing",
    "hiding", "growing",
)
KINDS = "stuck", "asking", "list", "whole", "group", "number"

def build(name):
    def built(options):
        import torch
        from torch import nn
        print("building", name)

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(784, options.num_classes)
                if name == "viewing":
                    self.conv = nn.Conv2d(1, 4, 2, stride=2)
                if name == "growing":
                    self.register_buffer("seen", None)
                if name == "hiding":
                    self.register_buffer("centre", torch.zeros(784), persistent=False)

            def forward(self, images):
                if name == "viewing":
                    images = self.conv(images).view(len(images), -1)
                if name == "growing" and self.training:
                    self.seen = images.mean(0)
                if name == "hiding" and self.training:
                    self.centre.lerp_(images.flatten(1).mean(0), 0.1)
                if name == "hiding":
                    images = 5 * (images.flatten(1) - self.centre)
                logits = self.fc(images.flatten(1))
                if name == "failing" and self.training:
                    raise ValueError("no such mode")
                if name == "of_two":
                    return logits.reshape(2, -1)
                self.calls = getattr(self, "calls", 0) + self.training
                if name == "late" and self.calls > 3:
                    raise ValueError("no more")
                if name == "of_three" and self.training and len(images) != 3:
                    raise ValueError("not three")
                if name == "tested" and not self.training and len(images) > 200:
                    raise ValueError("too many")
                if name == "headless" and self.training:
                    return logits, logits[:, :3]
                return [logits] if name == "listing" and self.training else logits
        return Network()
    return built

def build_odd(groups, recipe, kind):
    import torch

    class Odd(torch.optim.SGD):
        def step(self, closure=None):
            if kind == "stuck":
                raise ArithmeticError("stuck")
            if kind == "asking":
                raise TypeError("no closure was given")
            for group in self.param_groups:
                if kind == "group":
                    group["scale"] = torch.ones(1)
                for parameter in group["params"]:
                    state = self.state[parameter]
                    if kind == "list":
                        state["before"] = [torch.ones(1)]
                    if kind == "number":
                        state[0] = state[0] + 1 if state else 0
            if kind == "whole":
                self.state["steps"] = 1
    return Odd(groups, lr=recipe.learning_rate)

@hookimpl
def cnnreg_architectures():
    paper = Paper(title="None", year=2026, url="https://example.org")
    return [
        ArchitectureSpec(
            name=name, family="odd", summary="odd in training", build=build(name), paper=paper,
            licence="MIT", **SIZES,
        )
        for name in NAMES
    ]

@hookimpl
def cnnreg_optimizers():
    return [
        OptimizerSpec(name=kind, summary="odd", build=partial(build_odd, kind=kind))
        for kind in KINDS
    ]
"""


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    install_plugin(site, "odd-nets", odd_nets=PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        yield


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["failing"], "Training 'failing' with 'adam' failed: ValueError: no such mode."),
        (["of_two"], "Training 'of_two' with 'adam' gave (2, 15), expected (3, 10)."),
        (["headless"], "Training 'headless' with 'adam' gave (3, 3), expected (3, 10)."),
        (["listing"], "TypeError: expected a tensor or a tuple of tensors, got list."),
        (["viewing"], "view size is not compatible"),
        (["growing"], "'seen' has another shape after a step, in which no checkpoint fits it."),
        (["sound", "--optimizer", "stuck"], "with 'stuck' failed: ArithmeticError: stuck."),
        (["sound", "--optimizer", "asking"], "TypeError: no closure was given."),
        (["sound", "--optimizer", "list"], "'list' cannot be saved and restored: TypeError"),
        (["sound", "--optimizer", "whole"], "'whole' cannot be saved and restored: Attribute"),
        (["sound", "--optimizer", "group"], "'group' cannot be saved and restored: TypeError"),
        (["sound", "--optimizer", "number"], "'number' cannot be saved and restored: KeyError: 0"),
    ],
)
def test_it_is_blamed_by_name_and_leaves_no_run(tmp_path, arguments, said):
    code, out, _ = cli("train", *arguments, "--output", tmp_path / "run", "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"]) == (6, "plugin")
    assert said in error["message"]
    assert not (tmp_path / "run").exists()


GIVEN = ["--precision", "fp32", "--layout", "contiguous", "--compile", "off"]


@pytest.mark.parametrize("flags", [[], GIVEN], ids=["measured", "given"])
@pytest.mark.parametrize(
    "name, said",
    [
        ("late", "Training 'late' with 'adam' failed: ValueError: no more."),
        ("of_three", "Training 'of_three' with 'adam' failed: ValueError: not three."),
        ("tested", "Testing 'tested' failed: ValueError: too many."),
    ],
)
def test_what_fails_later_is_blamed_too_and_the_run_says_so(tmp_path, name, said, flags):
    run = tmp_path / "run"
    code, out, _ = cli("train", name, "--epochs", "1", "--output", run, "--json", *flags)
    error = json.loads(out)["error"]
    assert (code, error["code"], error["message"]) == (6, "plugin", said)
    if flags:  # what fails while it is measured has not begun
        assert json.loads((run / "failure.json").read_text())["state"] == "failed"


def test_a_comparison_tries_every_optimizer_first(tmp_path):
    code, out, _ = cli(
        "compare", "sound", "--optimizers", "adam,stuck", "--output", tmp_path / "c", "--json"
    )
    assert (code, "stuck" in json.loads(out)["error"]["message"]) == (6, True)
    assert not (tmp_path / "c").exists()


def test_what_it_prints_is_no_part_of_the_result(tmp_path):
    code, out, err = cli("train", "sound", "--epochs", "1", "--output", tmp_path / "run", "--json")
    assert code == 0, err
    assert json.loads(out)["epochs"] == 1
    assert "building sound" in err
    code, out, _ = cli("plugins", "check", "odd-nets", "--json")
    assert {"sound", "failing", "of_two"} < set(json.loads(out))


def test_the_result_is_that_of_the_network_that_was_saved(tmp_path):
    code, out, err = cli("train", "hiding", "--epochs", "2", "--output", tmp_path / "run", "--json")
    assert code == 0, err
    tested = json.loads(out)["test_accuracy"]
    assert json.loads(cli("eval", tmp_path / "run", "--json")[1])["accuracy"] == tested


def test_the_list_of_plugins_shows_recipes(registry):
    code, out, err = cli("plugins", "list", "--json")
    assert code == 0, err
    offers = {item["name"]: item["offers"] for item in json.loads(out)}
    assert offers["recipes"]["recipes"] == list(registry.recipes)
