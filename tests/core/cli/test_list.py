"""`cnnreg list` and `cnnreg info`."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import click
import pytest

from cnnreg.cli import common, info
from cnnreg.cli import list as list_module
from cnnreg.errors import UnknownNameError
from cnnreg.recipe import label
from cnnreg.registry import Catalog
from helpers import cli


def test_every_architecture_is_listed_with_its_cost(registry):
    code, out, _ = cli("list")
    assert code == 0
    for spec in registry.architectures.specs:
        line = next(line for line in out.splitlines() if line.split()[0] == spec.name)
        assert spec.family in line
        assert str(spec.paper.year) in line


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("resnet5", ["fpn_resnet50", "resnet56", "resnet50", "wide_resnet50_2"]),
        ("vgg1?", ["vgg11", "vgg13", "vgg16", "vgg19"]),
        ("densenet", ["densenet121", "densenet169", "densenet201", "densenet161"]),
    ],
)
def test_patterns(pattern, names):
    _, out, _ = cli("list", pattern, "--json")
    assert {item["name"] for item in json.loads(out)} == set(names)


def test_a_tag_is_found_in_upper_and_lower_case(monkeypatch, registry):
    net = registry.architectures.entry("resnet20")
    tagged = replace(net, spec=replace(net.spec, tags=("CIFAR",)))
    monkeypatch.setattr(
        list_module,
        "get_registry",
        lambda: replace(registry, architectures=Catalog("architecture", [tagged])),
    )
    for pattern in ("cifar", "CIFAR", "Cif*"):
        code, out, err = cli("list", pattern)
        assert (code, "resnet20" in out) == (0, True), err


@pytest.mark.parametrize(
    ("columns", "shown"), [(200, "what to add to its input."), (80, "18 layers"), (70, None)]
)
def test_in_a_narrow_terminal_a_summary_is_cut_or_left_out(columns, shown, monkeypatch):
    class Terminal(StringIO):
        def isatty(self):
            return True

    printed = Terminal()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(common, "results_stdout", lambda: printed)
    assert cli("list", "resnet18")[0] == 0
    lines = click.unstyle(printed.getvalue()).splitlines()
    assert max(map(len, lines)) <= columns
    assert "11.69 M" in lines[2]
    assert ("what it is" in lines[0]) == (shown is not None)
    assert (shown or "") in lines[2]


@pytest.mark.parametrize("kind", ["architectures", "datasets", "optimizers", "formats", "runtimes"])
def test_json_is_valid_for_every_kind(kind):
    code, out, err = cli("list", "--kind", kind, "--json")
    assert (code, err) == (0, "")
    assert all(item["name"] and item["plugin"] for item in json.loads(out))


@pytest.mark.parametrize(
    "name, mean, said",
    [
        ("googlenet", [0.5] * 3, "yes, --pretrained"),
        ("resnet20", None, "no"),
    ],
)
def test_whether_there_are_published_weights_is_told(name, mean, said):
    info, listed = cli("info", name, "--json")[1], cli("list", name, "--json")[1]
    for told in (json.loads(info), json.loads(listed)[0]):
        assert (told["pretrained"], told["pretrained_mean"]) == (mean is not None, mean)
    (row,) = [line for line in cli("info", name)[1].splitlines() if "published weights" in line]
    assert row.split("weights")[1].strip() == said


def test_a_pattern_that_fits_nothing_suggests():
    code, _, err = cli("list", "resnett50")
    assert code == 2
    assert "resnet50" in err


def test_a_format_is_called_so_everywhere(registry):
    with pytest.raises(UnknownNameError, match="Unknown format 'onx'"):
        registry.exporters["onx"]
    _, _, err = cli("list", "--kind", "formats", "onx")
    assert "Unknown format 'onx'" in err
    _, out, _ = cli("plugins", "--json")
    offers = {plugin["name"]: plugin["offers"] for plugin in json.loads(out)}
    assert offers["onnx"] == {"formats": ["onnx"]}


def test_info_shows_the_stages_and_their_sum():
    code, out, _ = cli("info", "resnet50")
    assert code == 0
    for text in ("25,557,032", "4.09 G", "arxiv.org", "Bottleneck", "2048x7x7", "layer4"):
        assert text in out


def test_info_tells_the_small_form():
    _, out, _ = cli("info", "resnet18", "--image-size", "32", "--classes", "10", "--json")
    data = json.loads(out)
    assert data["shown"]["form"] == "small"
    assert sum(stage["parameters"] for stage in data["stages"]) == 11_173_962


def test_info_tells_what_a_recipe_sets():
    assert (
        "recipe             epochs 12, batch size 512, optimizer muon"
        in cli("info", "airbench94")[1]
    )
    assert "recipe             the usual one" in cli("info", "resnet18")[1]
    code, out, _ = cli("info", "fast")
    assert code == 0
    assert "cnnreg train NETWORK --recipe fast" in out
    told = json.loads(cli("info", "fast", "--json")[1])
    assert told["plugin"] == "recipes"
    for name, value in told["settings"].items():
        assert f"{label(name)} {value}" in out


def test_info_suggests_the_nearest_name():
    code, _, err = cli("info", "mobilnet_v2")
    assert code == 2
    assert "mobilenet_v2" in err


def test_without_torch_the_line_that_brings_the_stages_is_whole(monkeypatch):
    monkeypatch.setattr(info, "missing", lambda modules: modules[0])
    code, out, _ = cli("info", "mlp")
    assert code == 0
    assert 'pip install "cnn-registry[train]"' in out


def test_all_of_a_kind_have_the_same_fields():
    for kind in ("architectures", "datasets", "optimizers", "recipes", "exporters", "runtimes"):
        items = json.loads(cli("list", "--kind", kind, "--json")[1])
        assert len({frozenset(item) for item in items}) == 1, kind


def test_info_shows_a_plugins_words_as_they_are_and_calls_it_as_list_does(registry, capsys):
    entry = registry.architectures.entry("mlp")
    spec = replace(entry.spec, summary="closing [/x] of [1x1]", licence="MIT [see notes]")
    info._print(replace(entry, spec=spec), spec.options(), None)
    out = capsys.readouterr().out
    assert "closing [/x] of [1x1]" in out and "MIT [see notes]" in out
    found = json.loads(cli("info", "mlp", "--json")[1])
    assert (found["plugin"], found["package"]) == (entry.plugin.name, entry.plugin.package)
