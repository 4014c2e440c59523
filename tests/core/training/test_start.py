"""Training that starts from weights that are already there."""

from __future__ import annotations

import dataclasses
import pickle

import pytest
import torch
from safetensors.torch import save_file

from cnnreg.data import DataConfig
from cnnreg.errors import (
    MachineError,
    MissingExtraError,
    ModelFileError,
    PluginError,
    UsageError,
)
from cnnreg.planning import plan
from cnnreg.recipe import Recipe
from cnnreg.training.groups import head_of
from cnnreg.training.start import start_from
from helpers import cli, make_run, train


def build(registry, name: str, classes: int, seed: int = 0):
    spec = registry.architectures[name]
    torch.manual_seed(seed)
    return spec, spec.build(spec.options(num_classes=classes, input_shape=(3, 32, 32)))


def test_all_but_the_head_is_taken_for_other_classes(registry, tmp_path):
    spec, source = build(registry, "resnet20", 7, seed=1)
    save_file(source.state_dict(), tmp_path / "source.safetensors")
    spec, model = build(registry, "resnet20", 3)
    head = head_of(spec, spec.options(num_classes=3, input_shape=(3, 32, 32)))
    fresh = {name: p.clone() for name, p in model.named_parameters() if name in head}
    said = start_from(str(tmp_path / "source.safetensors"), spec, model)
    assert head == {"fc.weight", "fc.bias"}
    assert said.endswith("from source.safetensors; new: fc.weight, fc.bias")
    for name, parameter in model.named_parameters():
        expected = fresh[name] if name in head else source.state_dict()[name]
        assert torch.equal(parameter, expected), name


def test_a_run_can_be_started_from(registry, tmp_path):
    first = make_run(registry, tmp_path / "first", epochs=3)
    train(registry, first)
    command = ("train", "mlp", "--epochs", "1", "--lr", "1e-9", "--json", "--augment", "none")
    code, out, err = cli(
        *command, "--weights", first.folder, "--output", tmp_path / "second", "--precision", "fp32"
    )
    assert code == 0, err
    assert "took 6 of 6 tensors from first" in err
    assert f'"test_accuracy": {first.result["test_accuracy"]}' in out


def test_published_weights_come_from_the_architecture(registry):
    spec, source = build(registry, "resnet20", 1000, seed=1)
    published = dataclasses.replace(spec, pretrained=source.state_dict)
    _, model = build(registry, "resnet20", 10)
    said = start_from("pretrained", published, model)
    assert "the pretrained weights; new: fc.weight, fc.bias" in said
    assert torch.equal(model.conv1.weight, source.conv1.weight)


def test_without_a_network_the_error_says_where_to_put_the_file(registry):
    def unreachable():
        raise OSError("no route to host")

    spec, model = build(registry, "resnet20", 10)
    with pytest.raises(MachineError, match=r"no route to host.*checkpoints.*Go online"):
        start_from("pretrained", dataclasses.replace(spec, pretrained=unreachable), model)


def raising(error):
    def load():
        raise error

    return load


@pytest.mark.parametrize(
    ("pretrained", "said"),
    [
        (raising(KeyError("model")), "of 'resnet20' failed: KeyError: 'model'"),
        (raising(RuntimeError("size mismatch")), "size mismatch"),
        (lambda: torch.nn.Linear(1, 1), "are Linear, no mapping"),
    ],
)
def test_a_loader_that_is_wrong_is_the_plugins(registry, pretrained, said):
    spec, model = build(registry, "resnet20", 10)
    with pytest.raises(PluginError, match=said):
        start_from("pretrained", dataclasses.replace(spec, pretrained=pretrained), model)


def test_a_package_that_the_loader_needs_is_named(registry):
    spec, model = build(registry, "resnet20", 10)
    pretrained = raising(ModuleNotFoundError("No module named 'timm'", name="timm"))
    with pytest.raises(MissingExtraError, match="timm"):
        start_from("pretrained", dataclasses.replace(spec, pretrained=pretrained), model)


def test_what_the_loader_prints_leaves_stdout_alone(registry, capsys):
    spec, source = build(registry, "resnet20", 1000)
    published = dataclasses.replace(
        spec, pretrained=lambda: (print("Downloading"), source.state_dict())[1]
    )
    start_from("pretrained", published, build(registry, "resnet20", 10)[1])
    assert capsys.readouterr() == ("", "Downloading\n")


def test_every_pretrained_name_is_one_of_torchvision(registry):
    from torchvision.models import get_weight

    named = [spec for spec in registry.architectures.specs if spec.pretrained]
    assert len(named) == 26
    for spec in named:
        (name,) = spec.pretrained.args
        assert get_weight(name).meta["num_params"] == spec.parameters, spec.name


def test_a_network_without_published_weights_says_so(registry):
    with pytest.raises(UsageError, match="'mlp' comes without pretrained weights"):
        plan(registry, "mlp", DataConfig(name="digits"), Recipe(), weights="pretrained")


def test_another_networks_file_is_refused_and_changes_nothing(registry, tmp_path):
    _, source = build(registry, "resnet20", 10)
    save_file(source.state_dict(), tmp_path / "other.safetensors")
    spec, model = build(registry, "mlp", 10)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelFileError, match="weights are 0 % of 'mlp'"):
        start_from(str(tmp_path / "other.safetensors"), spec, model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_weights_of_other_images_say_what_differs(registry, tmp_path):
    """A classifier on all pixels is nearly all of such a network."""
    spec, model = build(registry, "mlp", 10)
    source = spec.build(spec.options(num_classes=10, input_shape=(3, 64, 64)))
    save_file(source.state_dict(), tmp_path / "larger.safetensors")
    with pytest.raises(ModelFileError, match=r"\d+, 12288\] there, \[\d+, 3072\] here") as caught:
        start_from(str(tmp_path / "larger.safetensors"), spec, model)
    assert "--image-size" in caught.value.hint


def test_files_that_may_hold_code_are_not_opened(registry, tmp_path):
    (tmp_path / "weights.pt").write_bytes(pickle.dumps({}))
    spec, model = build(registry, "mlp", 10)
    with pytest.raises(ModelFileError, match="safetensors files alone"):
        start_from(str(tmp_path / "weights.pt"), spec, model)
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps({}))
    with pytest.raises(ModelFileError, match="Not a safetensors file"):
        start_from(str(tmp_path / "weights.safetensors"), spec, model)


def test_weights_that_do_not_fit_leave_no_run_behind(registry, tmp_path):
    _, source = build(registry, "resnet20", 10)
    save_file(source.state_dict(), tmp_path / "other.safetensors")
    code, _, err = cli(
        "train", "mlp", "--weights", tmp_path / "other.safetensors", "--output", tmp_path / "run"
    )
    assert code == 4, err
    assert not (tmp_path / "run").exists()
