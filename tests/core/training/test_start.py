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
    StoppedError,
    UsageError,
)
from cnnreg.planning import plan
from cnnreg.recipe import Recipe
from cnnreg.runs import open_run
from cnnreg.runs.config import write_config
from cnnreg.specs.contract import unnamed_classes
from cnnreg.training.groups import head_of
from cnnreg.training.saving.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from cnnreg.training.saving.foreign import copy_fitting
from cnnreg.training.start import start_from
from helpers import cli, contract, make_run, stop_at, train


def build(registry, name: str, classes: int, seed: int = 0):
    spec = registry.architectures[name]
    torch.manual_seed(seed)
    return spec, spec.build(spec.options(num_classes=classes, input_shape=(3, 32, 32)))


def test_weights_of_another_network_are_named(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", architecture="simple_cnn", epochs=1)
    train(registry, run)
    code, _, err = cli("train", "mlp", "--weights", run.folder, "--output", tmp_path / "other")
    assert (code, "They are of 'simple_cnn'." in err) == (4, True)


def start(weights, spec, model, classes: int = 10):
    """From those weights, for a network of so many classes."""
    of = contract(num_classes=classes, classes=tuple(map(str, range(classes))))
    return start_from(weights, spec, model, of)


def test_all_but_the_head_is_taken_for_other_classes(registry, tmp_path):
    spec, source = build(registry, "resnet20", 7, seed=1)
    save_file(source.state_dict(), tmp_path / "source.safetensors")
    spec, model = build(registry, "resnet20", 3)
    head = head_of(spec, spec.options(num_classes=3, input_shape=(3, 32, 32)))
    fresh = {name: p.clone() for name, p in model.named_parameters() if name in head}
    said, new = start(str(tmp_path / "source.safetensors"), spec, model)
    assert set(new) == head == {"fc.weight", "fc.bias"}
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
    said = start("pretrained", published, model).said
    assert "the pretrained weights; new: fc.weight, fc.bias" in said
    assert torch.equal(model.conv1.weight, source.conv1.weight)


def test_without_a_network_the_error_says_where_to_put_the_file(registry):
    def unreachable():
        raise OSError("no route to host")

    spec, model = build(registry, "resnet20", 10)
    with pytest.raises(MachineError, match=r"no route to host.*checkpoints.*Go online"):
        start("pretrained", dataclasses.replace(spec, pretrained=unreachable), model)


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
        start("pretrained", dataclasses.replace(spec, pretrained=pretrained), model)


def test_a_package_that_the_loader_needs_is_named(registry):
    spec, model = build(registry, "resnet20", 10)
    pretrained = raising(ModuleNotFoundError("No module named 'timm'", name="timm"))
    with pytest.raises(MissingExtraError, match="timm"):
        start("pretrained", dataclasses.replace(spec, pretrained=pretrained), model)


def test_what_the_loader_prints_leaves_stdout_alone(registry, capsys):
    spec, source = build(registry, "resnet20", 1000)
    published = dataclasses.replace(
        spec, pretrained=lambda: (print("Downloading"), source.state_dict())[1]
    )
    start("pretrained", published, build(registry, "resnet20", 10)[1])
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
        start(str(tmp_path / "other.safetensors"), spec, model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_weights_of_other_images_say_what_differs(registry, tmp_path):
    """A classifier on all pixels is nearly all of such a network."""
    spec, model = build(registry, "mlp", 10)
    source = spec.build(spec.options(num_classes=10, input_shape=(3, 64, 64)))
    save_file(source.state_dict(), tmp_path / "larger.safetensors")
    with pytest.raises(ModelFileError, match=r"\d+, 12288\] there, \[\d+, 3072\] here") as caught:
        start(str(tmp_path / "larger.safetensors"), spec, model)
    assert "--image-size" in caught.value.hint


def test_files_that_may_hold_code_are_not_opened(registry, tmp_path):
    (tmp_path / "weights.pt").write_bytes(pickle.dumps({}))
    spec, model = build(registry, "mlp", 10)
    with pytest.raises(ModelFileError, match="safetensors files alone"):
        start(str(tmp_path / "weights.pt"), spec, model)
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps({}))
    with pytest.raises(ModelFileError, match="Not a safetensors file"):
        start(str(tmp_path / "weights.safetensors"), spec, model)


def test_weights_that_do_not_fit_leave_no_run_behind(registry, tmp_path):
    _, source = build(registry, "resnet20", 10)
    save_file(source.state_dict(), tmp_path / "other.safetensors")
    code, _, err = cli(
        "train", "mlp", "--weights", tmp_path / "other.safetensors", "--output", tmp_path / "run"
    )
    assert code == 4, err
    assert not (tmp_path / "run").exists()


def test_a_head_for_other_classes_is_none_for_these(registry, tmp_path):
    first = make_run(registry, tmp_path / "first", epochs=1)
    train(registry, first)
    config = first.config.contract
    spec = registry.architectures["mlp"]
    others = dataclasses.replace(config, classes=tuple("abcdefghij"))
    for of, new in ((config, ()), (others, ("output.weight", "output.bias"))):
        model = spec.build(of.options())
        assert start_from(str(first.folder), spec, model, of).fresh == new
    said = start_from(str(first.folder), spec, model, config).said
    assert said == "took 6 of 6 tensors from first"
    for dataset, new in (("", ()), ("folder", ("output.weight", "output.bias"))):
        unnamed = dataclasses.replace(config, classes=unnamed_classes(10), dataset=dataset)
        write_config(first.folder, dataclasses.replace(first.config, contract=unnamed))
        assert start_from(str(first.folder), spec, model, config).fresh == new


def test_what_an_import_lacked_was_never_learned(registry, tmp_path):
    """It is in the run's file of weights all the same, as it was drawn."""
    _, source = build(registry, "resnet20", 10)
    state = {name: tensor for name, tensor in source.state_dict().items() if "layer3.2" not in name}
    state["conv1.weight"] = state["conv1.weight"][:, :, :2, :2].clone()
    save_file(state, tmp_path / "part.safetensors")
    code, _, err = cli(
        "import", tmp_path / "part.safetensors", "--arch", "resnet20", "--partial",
        "--data", "digits", "--image-size", "32", "--output", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    run = open_run(tmp_path / "run")
    assert run.config.imported["missing"]
    assert run.config.imported["misshapen"]
    spec, of = registry.architectures["resnet20"], run.config.contract
    for weights in (run.folder, run.best):
        model = spec.build(of.options())
        drawn = model.conv1.weight.clone()
        fresh = start_from(str(weights), spec, model, of).fresh
        lacked = [name for name, _ in model.named_parameters() if "layer3.2" in name]
        assert set(fresh) == {"conv1.weight", *lacked}
        assert torch.equal(model.conv1.weight, drawn)
    copy = tmp_path / "best.safetensors"  # which tells nothing any more
    copy.write_bytes(run.best.read_bytes())
    assert start_from(str(copy), spec, model, of).fresh == ()


def test_a_head_that_is_most_of_a_network_may_be_left_out(registry, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 100))
    state = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("0")}
    with pytest.raises(ModelFileError, match="half is needed"):
        copy_fitting(model, state, "x", None)
    head = ("1.weight", "1.bias")
    assert copy_fitting(model, state, "x", None, but=head) == ["0.weight", "0.bias"]
    with pytest.raises(ModelFileError, match="half is needed"):
        copy_fitting(model, state, "x", None, but=(*head, *state))


def test_weights_of_another_network_are_called_so(registry, tmp_path):
    run = make_run(registry, tmp_path / "deep", architecture="resnet32", image_size=32, epochs=1)
    spec = registry.architectures["resnet32"]
    contract = run.config.contract
    save_checkpoint(run.best, Checkpoint(contract, spec.build(contract.options()).state_dict()))
    spec = registry.architectures["resnet20"]
    model = spec.build(contract.options())
    assert "from deep, a resnet32" in start_from(str(run.folder), spec, model, contract).said


def test_what_the_weights_lack_learns_as_the_head_does(registry, tmp_path):
    """And is known again where the training goes on."""
    _, source = build(registry, "resnet20", 10)  # for colour, which digits have not
    state = source.state_dict()
    save_file(state, tmp_path / "source.safetensors")
    run = make_run(
        registry,
        tmp_path / "run",
        "resnet20",
        image_size=32,
        weights=str(tmp_path / "source.safetensors"),
        epochs=2,
        freeze=1,
        body_rate=0.1,
    )
    seen = []
    for step in (1, 2):
        with pytest.raises(StoppedError):
            train(registry, run, on_step=stop_at(step))
        run = open_run(run.folder)
        assert run.config.fresh == ("conv1.weight",)
        seen.append(read_checkpoint(run.last).model)
    frozen = "layer1.0.conv1.weight"
    assert torch.equal(seen[0][frozen], state[frozen])
    assert torch.equal(seen[1][frozen], state[frozen])
    assert not torch.equal(seen[0]["conv1.weight"], seen[1]["conv1.weight"])
