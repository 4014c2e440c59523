import pytest
import torch
from torch import nn

from cnnreg.recipe import Recipe
from cnnreg.training.groups import parameter_groups
from cnnreg_plugins.optimizers.muon import Muon, is_filter, orthogonalised

NAMES = ["adagrad", "adam", "adamw", "momentum", "muon", "nesterov", "rmsprop", "sgd"]
SGD = ("sgd", "momentum", "nesterov")
WITH_MOMENTUM = ("momentum", "muon", "nesterov")
HYPERPARAMETERS = ("lr", "weight_decay", "momentum", "nesterov")


def groups(model: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    return parameter_groups(model, recipe, frozenset())


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.LazyLinear(5)
    model = nn.Sequential(*layers)
    model(torch.zeros(1, 3, 8, 8))
    return model.to(memory_format=torch.channels_last)


def loss(model: nn.Module) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    images = torch.randn(16, 3, 8, 8, generator=random)
    labels = torch.randint(0, 5, (16,), generator=random)
    return nn.functional.cross_entropy(model(images), labels)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, times: int) -> None:
    for _ in range(times):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def test_all_are_offered(registry):
    assert list(registry.optimizers) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss(registry, name):
    model = network()
    recipe = Recipe(learning_rate=0.1 if name in SGD else 0.01)
    optimizer = registry.optimizers[name].build(groups(model, recipe), recipe)
    before = loss(model).item()
    step(model, optimizer, 10)
    assert loss(model).item() < before * 0.8


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_is_honoured(registry, name):
    recipe = Recipe(learning_rate=0.25, weight_decay=0.125, momentum=0.5)
    optimizer = registry.optimizers[name].build(groups(network(), recipe), recipe)
    group, spared = optimizer.param_groups
    assert spared["weight_decay"] == 0
    assert (group["lr"], group["weight_decay"]) == (0.25, 0.125)
    assert group.get("momentum", 0) == (0.5 if name in WITH_MOMENTUM else 0)
    assert group["param_names"][0] == "0.weight"


@pytest.mark.parametrize("name", NAMES)
def test_the_fused_kernel_computes_the_same(registry, name):
    recipe = Recipe(weight_decay=0.01)
    fused, plain = network(), network()
    one = registry.optimizers[name].build(groups(fused, recipe), recipe)
    group = one.param_groups[0]
    options = {k: v for k, v in group.items() if k in HYPERPARAMETERS}
    other = type(one)(groups(plain, recipe), **options)
    step(fused, one, 5)
    step(plain, other, 5)
    assert torch.allclose(weights(fused), weights(plain), atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
def test_orthogonalised_keeps_directions_and_evens_lengths(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    ours = u.T @ orthogonalised(matrix) @ vt.T
    lengths = ours.diagonal()
    assert 0.6 < lengths.min() <= lengths.max() < 1.3
    assert (ours - torch.diag(lengths)).abs().max() < 1e-4


def test_only_filters_that_mix_channels_step_orthogonally():
    shapes = {(8, 3, 3, 3): True, (8, 1, 3, 3): False, (8, 8): False, (8,): False}
    assert {shape: is_filter(torch.zeros(shape)) for shape in shapes} == shapes


def test_muons_steps_are_as_long_as_adams():
    weight = nn.Parameter(torch.zeros(32, 16, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    Muon([weight], lr=0.01).step()
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.002, rel=0.25)


def test_muon_moves_the_rest_as_adamw_does():
    one, other = (nn.Parameter(torch.ones(6)) for _ in range(2))
    muon = Muon([one], lr=0.01, weight_decay=0.1)
    adam = torch.optim.AdamW([other], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    random = torch.Generator().manual_seed(4)
    for _ in range(5):
        one.grad = other.grad = torch.randn(6, generator=random)
        muon.step()
        adam.step()
    assert torch.allclose(one, other, atol=1e-6)


def test_muon_does_not_mind_the_order_in_memory():
    """Weights that lie channels last, or come back from a file, give the same bits."""
    models = network(), network().to(memory_format=torch.contiguous_format)
    for model in models:
        random = torch.Generator().manual_seed(5)
        optimizer = Muon(model.parameters())
        for _ in range(3):
            for parameter in model.parameters():
                gradient = torch.randn(parameter.shape, generator=random)
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
            optimizer.step()
    assert torch.equal(weights(models[0]), weights(models[1]))
