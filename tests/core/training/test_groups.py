"""Parameter groups: what decays, what learns how fast, what not yet."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from cnnreg.recipe import Recipe
from cnnreg.training.groups import (
    RATE_SHARE,
    body_of,
    head_of,
    parameter_groups,
    set_training,
)
from helpers import make_run, train


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 3)
    )


HEAD = frozenset({"4.weight", "4.bias"})


def named(groups, key):
    return {name: group[key] for group in groups for name, _ in group["params"]}


def test_norms_and_biases_do_not_decay():
    groups = parameter_groups(network(), Recipe(weight_decay=0.1), HEAD)
    decays = named(groups, "weight_decay")
    assert {name for name, decay in decays.items() if decay} == {"0.weight", "2.weight", "4.weight"}
    assert len(groups) == 2


def test_the_body_learns_slower_the_earlier():
    shares = named(parameter_groups(network(), Recipe(body_rate=0.25), HEAD), RATE_SHARE)
    assert shares["0.weight"] == shares["1.weight"] == 0.25
    assert shares["2.weight"] == shares["2.bias"] == 0.5
    assert shares["4.weight"] == shares["4.bias"] == 1.0


def test_an_ordinary_recipe_has_one_group():
    (group,) = parameter_groups(network(), Recipe(), HEAD)
    assert len(group["params"]) == 8


def test_a_frozen_body_keeps_weights_and_statistics():
    model = network()
    body = body_of(model, HEAD)
    set_training(model, body, frozen=True)
    assert [n for n, p in model.named_parameters() if p.requires_grad] == sorted(HEAD)[::-1]
    before = model[1].running_mean.clone()
    model(torch.randn(8, 1, 5, 5)).sum().backward()
    assert torch.equal(model[1].running_mean, before)
    assert model[0].weight.grad is None
    set_training(model, body, frozen=False)
    assert all(p.requires_grad for p in model.parameters())
    assert all(module.training for module in model.modules())


def test_dropout_is_off_inside_a_frozen_body_and_on_before_the_head():
    block = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Dropout(0.5))
    model = nn.Sequential(block, nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 3))
    body = body_of(model, frozenset({"3.weight", "3.bias"}))
    set_training(model, body, frozen=True)
    assert [module.training for module in block] == [False, False, False]
    assert model[2].training
    set_training(model, body, frozen=False)
    assert all(module.training for module in model.modules())


def test_what_the_network_keeps_fixed_stays_fixed():
    model = network()
    model[0].weight.requires_grad_(False)
    body = body_of(model, HEAD)
    for frozen in (True, False):
        set_training(model, body, frozen=frozen)
        assert not model[0].weight.requires_grad
    assert model[0].bias.requires_grad


def test_the_summary_of_a_training_that_ended_frozen_counts_all(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=1, freeze=1)
    train(registry, run)
    whole = registry.architectures["mlp"].build(run.config.contract.options())
    (total,) = re.findall(r"total\D*([\d,]+)", (run.folder / "summary.txt").read_text())
    assert int(total.replace(",", "")) == sum(p.numel() for p in whole.parameters())


@pytest.mark.parametrize("name", ["googlenet", "vgg11", "mlp", "shufflenet_v1", "fpn_resnet18"])
def test_the_head_is_what_depends_on_the_classes(registry, name):
    spec = registry.architectures[name]
    head = head_of(spec, spec.options(num_classes=100, input_shape=(3, 32, 32)))
    assert {part.rsplit(".", 1)[1] for part in head} == {"weight", "bias"}
    assert len(head) == 2


def test_freezing_ends_after_its_epochs(registry, tmp_path):
    from cnnreg.training.saving.checkpoint import read_checkpoint

    saved = []
    run = make_run(registry, tmp_path / "run", "resnet20", image_size=8, epochs=2, freeze=1)

    def remember(progress):
        if progress.batch == 1:
            saved.append(read_checkpoint(run.last).model)

    train(registry, run, on_step=remember)
    at_start, after_one = saved
    assert torch.equal(at_start["conv1.weight"], after_one["conv1.weight"])
    assert torch.equal(at_start["bn1.running_mean"], after_one["bn1.running_mean"])
    assert not torch.equal(at_start["fc.weight"], after_one["fc.weight"])
    last = read_checkpoint(run.last).model
    assert not torch.equal(last["conv1.weight"], after_one["conv1.weight"])


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "adam", "muon"])
def test_a_body_that_thaws_joins_an_optimizer_that_has_begun(registry, tmp_path, optimizer):
    settings = {"optimizer": optimizer, "freeze": 1, "batch_size": 512}
    assert len(train(registry, make_run(registry, tmp_path / "run", **settings))) == 2
