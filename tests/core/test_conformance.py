"""The kit passes a sound architecture and names what is wrong with each unsound one."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from cnnreg import ArchitectureSpec, ModelOptions, Paper, Recipe
from cnnreg.conformance import (
    CHECKS,
    check_architecture,
    export_checks,
    import_check,
    recipe_check,
)
from cnnreg.registry import Catalog, Entry, Registry
from cnnreg.specs import ModelFile, RuntimeOptions, RuntimeSpec
from toy_format import EXPORTER, Answering


def linear(options: ModelOptions) -> nn.Sequential:
    channels, height, width = options.input_shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Dropout(options.dropout or 0.0),
        nn.Linear(channels * height * width, options.num_classes),
    )


SOUND = ArchitectureSpec(
    name="linear",
    family="test",
    summary="One linear layer.",
    build=linear,
    parameters=7_850,
    macs=7_840,
    num_classes=10,
    input_shape=(1, 28, 28),
    paper=Paper(title="None", year=2000, url="https://example.org"),
    licence="Apache-2.0",
)


class Changed(nn.Module):
    """The sound network with something done to its output."""

    def __init__(self, options: ModelOptions, change: Callable[[nn.Module, torch.Tensor], object]):
        super().__init__()
        self.inner = linear(options)
        self.change = change

    def forward(self, x: torch.Tensor) -> object:
        return self.change(self, self.inner(x))


def changed(change: Callable[[nn.Module, torch.Tensor], object]) -> ArchitectureSpec:
    return replace(SOUND, build=lambda options: Changed(options, change))


def dropping(options: ModelOptions) -> nn.Module:
    dropout = 0.5 if options.dropout is None else options.dropout
    return linear(replace(options, dropout=dropout))


def raises(options: ModelOptions) -> nn.Module:
    raise RuntimeError("no such\nnetwork")


def not_a_module(options: ModelOptions) -> nn.Module:
    return linear  # type: ignore[return-value]  # that is the point


def ignores_dropout(options: ModelOptions) -> nn.Module:
    return linear(replace(options, dropout=0.3))


def has_no_dropout(options: ModelOptions) -> nn.Module:
    return nn.Sequential(*(layer for layer in linear(options) if not isinstance(layer, nn.Dropout)))


def ignores_classes(options: ModelOptions) -> nn.Module:
    return linear(replace(options, num_classes=1000))


def sets_default_dtype(options: ModelOptions) -> nn.Module:
    torch.set_default_dtype(torch.float64)
    return linear(options)


def shares_a_weight(options: ModelOptions) -> nn.Module:
    model = linear(options)
    model.append(nn.Linear(options.num_classes, options.num_classes))
    model.append(nn.Linear(options.num_classes, options.num_classes))
    model[4].weight = model[3].weight
    return model


def names_with_a_slash(options: ModelOptions) -> nn.Module:
    model = linear(options)
    model.register_buffer("a/b", torch.zeros(3))
    return model


def has_an_idle_parameter(options: ModelOptions) -> nn.Module:
    model = linear(options)
    model.register_parameter("idle", nn.Parameter(torch.zeros(3)))
    return model


def hides_a_weight(options: ModelOptions) -> nn.Module:
    hidden = torch.randn(options.num_classes)
    return Changed(options, lambda _, logits: logits + hidden.to(logits.device))


def seeds_itself(options: ModelOptions) -> nn.Module:
    torch.manual_seed(0)
    return linear(options)


UNSOUND = {
    "builds": (not_a_module, "build returned function"),
    "shapes": (ignores_classes, "gave (1, 1000), not (1, 2)"),
    "dropout": (ignores_dropout, "dropout=0.0 left dropout layers of [0.3]"),
    "savable": (names_with_a_slash, "'a/b': a tensor's name must not hold '/'"),
    "global state": (sets_default_dtype, "changes torch's default dtype"),
    "whole state": (hides_a_weight, "answers differ after load_state_dict"),
    "learns": (has_an_idle_parameter, "no gradient reaches idle"),
}


def failures(spec: ArchitectureSpec) -> dict[str, str]:
    return {o.check: o.reason for o in check_architecture(spec) if not o.passed}


def test_a_sound_architecture_passes_every_check() -> None:
    outcomes = list(check_architecture(SOUND))
    assert [o.check for o in outcomes] == [check.name for check in CHECKS]
    assert all(o.passed and o.reason for o in outcomes), outcomes


def test_seeds_that_all_give_the_same_weights_are_found() -> None:
    found = failures(replace(SOUND, build=seeds_itself))
    assert "build sets a seed" in found["whole state"]


def test_a_network_may_begin_with_fixed_numbers() -> None:
    def build(options: ModelOptions) -> nn.Module:
        model = linear(options)
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return model

    assert "whole state" not in failures(replace(SOUND, build=build))


def test_what_a_module_changes_when_it_is_imported_is_found(tmp_path, monkeypatch) -> None:
    (tmp_path / "first_import.py").write_text(
        'import torch\ntorch.set_float32_matmul_precision("high")\n'
    )
    monkeypatch.syspath_prepend(tmp_path)

    def build(options: ModelOptions) -> nn.Module:
        import first_import  # noqa: F401

        return linear(options)

    found = failures(replace(SOUND, build=build))
    assert [*found] == ["global state"]


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("from cnnreg import hookimpl", ""),
        ("import torch", "imports torch, for which every command would wait"),
        ("import os; os.chdir('/')", "changes the working folder"),
        ("1 / 0", "ZeroDivisionError"),
        ("import os; os._exit(9)", "ends a fresh process with 9"),
    ],
)
def test_a_plugin_that_is_slow_or_harmful_to_import_is_found(
    registry: Registry, tmp_path, monkeypatch, module: str, said: str
) -> None:
    name = f"imported_{len(module)}"
    (tmp_path / f"{name}.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    entry = Entry(SOUND, replace(registry.plugins[0], module=name))
    only = replace(registry, architectures=Catalog("architecture", [entry]))
    outcome = import_check(only)(SOUND)
    assert outcome.passed is not bool(said)
    assert said in outcome.reason


def test_a_recipe_names_an_optimizer_that_is_there(registry: Registry) -> None:
    check = recipe_check(registry)
    assert check(SOUND).passed
    unknown = replace(SOUND, recipe=Recipe(optimizer="Adam"))
    assert "'Adam' is not installed" in check(unknown).reason


@pytest.mark.parametrize("check", UNSOUND)
def test_a_broken_rule_is_named(check: str) -> None:
    build, reason = UNSOUND[check]
    assert reason in failures(replace(SOUND, build=build))[check]


def test_a_network_for_colour_alone_is_found_out() -> None:
    def only_colour(options: ModelOptions) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(3), linear(options))

    found = failures(replace(SOUND, build=only_colour, parameters=7_856))
    assert "1x1x28x28 in evaluation fails" in found["shapes"]


def test_false_counts_are_named_beside_the_true_ones() -> None:
    found = failures(replace(SOUND, parameters=7_000, macs=8_000))
    assert found == {
        "parameters": "declares 7,000 parameters, has 7,850",
        "macs": "declares 8,000 MACs, needs 7,840",
    }


def test_a_builder_that_raises_fails_in_one_line_and_once() -> None:
    assert failures(replace(SOUND, build=raises)) == {"builds": "RuntimeError: no such network"}


def test_nothing_more_is_asked_of_outputs_of_the_wrong_kind() -> None:
    listed = changed(lambda _, logits: [logits])
    assert list(check_architecture(listed))[-1].check == "shapes"
    assert failures(listed) == {"shapes": "1x1x28x28 in evaluation gave list, not (1, 2)"}


def test_tied_weights_are_sound() -> None:
    tied = replace(SOUND, build=shares_a_weight, parameters=7_970, macs=8_040)
    assert not failures(tied)


def test_what_training_keeps_outside_the_saved_tensors_is_found() -> None:
    def follow(model: nn.Module, logits: torch.Tensor) -> torch.Tensor:
        if model.training:
            model.centre = model.centre.lerp(logits.detach().mean(0), 0.1)
        return logits - model.centre

    def build(options: ModelOptions, persistent: bool) -> nn.Module:
        model = Changed(options, follow)
        model.register_buffer("centre", torch.zeros(options.num_classes), persistent=persistent)
        return model

    hidden = replace(SOUND, build=partial(build, persistent=False))
    assert failures(hidden) == {"whole state": "answers differ after load_state_dict"}
    assert not failures(replace(SOUND, build=partial(build, persistent=True)))


def test_a_view_that_fails_on_the_images_of_training_is_found() -> None:
    class Viewing(nn.Module):
        def __init__(self, options: ModelOptions) -> None:
            super().__init__()
            self.inner = linear(options)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x.view(x.size(0), -1))

    assert "Use .reshape" in failures(replace(SOUND, build=Viewing))["evaluation"]


def test_dropout_that_would_do_nothing_is_found_out() -> None:
    found = failures(replace(SOUND, build=has_no_dropout))
    assert found == {"dropout": "dropout=0.5 changes nothing in training: there is no dropout"}

    class ByFunction(nn.Module):
        def __init__(self, options: ModelOptions) -> None:
            super().__init__()
            self.net, self.dropout = has_no_dropout(options), options.dropout or 0.0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(nn.functional.dropout(x, self.dropout, self.training))

    assert not failures(replace(SOUND, build=ByFunction))


def test_the_standard_form_is_tried_at_the_least_size_it_gets() -> None:
    def build(options: ModelOptions) -> nn.Module:
        pool = nn.Identity() if options.form == "small" else nn.AvgPool2d(100)
        head = linear(replace(options, input_shape=(options.in_channels, 1, 1)))
        return nn.Sequential(pool, nn.AdaptiveAvgPool2d(1), *head)

    pooling = replace(
        SOUND, build=build, input_shape=(1, 200, 200), parameters=20, macs=10, small_form="no pool"
    )
    assert "1x1x64x64 in evaluation fails" in failures(pooling)["shapes"]
    assert not failures(replace(pooling, small_below=100))


def test_a_small_network_without_norm_is_given_time() -> None:
    def build(options: ModelOptions) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(options.in_channels, 8, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(options.dropout or 0.0),
            nn.Linear(8, options.num_classes),
        )

    assert "learns" not in failures(replace(SOUND, build=build))


def test_a_format_is_asked_for_a_precision_that_it_has(registry: Registry) -> None:
    def open_file(model: ModelFile, options: RuntimeOptions) -> Answering:
        assert model.precision == "int8"
        return Answering(torch.randn(7, 10).numpy(), lambda same: same)

    plugin = registry.plugins[0]
    exporter = replace(EXPORTER, precisions=("int8",))
    engine = RuntimeSpec(name="toy", title="Toy", formats=("toy",), open=open_file, devices=dict)
    own = replace(
        registry,
        exporters=Catalog("format", [Entry(exporter, plugin)]),
        runtimes=Catalog("runtime", [Entry(engine, plugin)]),
    )
    (outcome,) = check_architecture(SOUND, export_checks(own))
    assert (outcome.passed, "of int8" in outcome.reason) == (True, True), outcome.reason


def test_a_network_that_cannot_take_its_least_size_is_told_so() -> None:
    def build(options: ModelOptions) -> nn.Module:
        pool = nn.MaxPool2d(32)
        pooled = (options.in_channels, *(side // 32 for side in options.input_shape[1:]))
        return nn.Sequential(pool, *linear(replace(options, input_shape=pooled)))

    found = failures(replace(SOUND, build=build, min_size=32, input_shape=(1, 64, 64)))
    assert "shapes" not in found
    found = failures(replace(SOUND, build=build, min_size=28, input_shape=(1, 64, 64)))
    assert "1x1x28x28 in evaluation fails" in found["shapes"] or "positive" in found["shapes"]


def test_randomness_in_evaluation_is_found() -> None:
    noisy = changed(lambda _, logits: logits + torch.rand_like(logits))
    assert failures(noisy)["evaluation"] == "two passes over the same images differ"


def test_a_glance_at_the_rest_of_the_batch_is_found() -> None:
    centred = changed(lambda _, logits: logits - logits.mean(0) + 1)
    assert "depends on its batch" in failures(centred)["evaluation"]


def test_a_network_that_cannot_learn_is_found() -> None:
    stuck = changed(lambda _, logits: logits * 1e-6)
    assert "still 2.303" in failures(stuck)["learns"]
    unmoved = replace(SOUND, recipe=Recipe(learning_rate=1e-12))
    assert "still" in failures(replace(unmoved, build=dropping))["learns"]  # not by chance


def test_auxiliary_logits_need_a_weight() -> None:
    twice = changed(lambda m, logits: (logits, logits) if m.training else logits)
    assert failures(twice) == {"shapes": "has auxiliary heads, but aux_weight is 0"}
    assert not failures(replace(twice, aux_weight=0.3))


def test_the_test_process_keeps_its_settings() -> None:
    failures(replace(SOUND, build=sets_default_dtype))
    assert torch.get_default_dtype() == torch.float32

    def sets_the_others(options: ModelOptions) -> torch.nn.Module:
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        torch.set_default_device("meta")
        return SOUND.build(options)

    failures(replace(SOUND, build=sets_the_others))
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_default_device() == torch.device("cpu")
