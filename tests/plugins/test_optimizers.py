import pytest
import torch
from torch import nn

from cnnreg.recipe import Recipe
from cnnreg.training.groups import parameter_groups

NAMES = ["adagrad", "adam", "adamw", "momentum", "nesterov", "rmsprop", "sgd"]
SGD = ("sgd", "momentum", "nesterov")
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
    assert group.get("momentum", 0) == (0.5 if name in ("momentum", "nesterov") else 0)
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
