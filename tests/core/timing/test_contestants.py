"""Who takes part in a benchmark."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cnnreg.errors import MachineError, PluginError, UsageError
from cnnreg.registry import Catalog, Entry
from cnnreg.specs import Interface, ModelFile, RuntimeOptions, RuntimeSpec
from cnnreg.timing.bench import Contestant
from cnnreg.timing.contestants import device_names, load_contestants
from helpers import contract


class Opened:
    def __init__(self, device):
        self.device = device

    def prepare(self, images):
        return images

    def infer(self, inputs):
        return inputs

    def describe(self):
        return {"device": self.device}


class Speechless(Opened):
    def describe(self):
        return None


@pytest.fixture
def toy(registry):
    """Two engines for one format; the second one has a GPU."""

    def engine(name, *devices):
        def open_session(model, options):
            if options.device not in devices:
                raise MachineError(f"{options.device} not found; there are {devices}.")
            return Opened(options.device)

        return RuntimeSpec(
            name=name,
            title=name.title(),
            formats=("toy",),
            open=open_session,
            devices=lambda: dict.fromkeys(devices, "a device"),
        )

    plugin = registry.plugins[0]
    specs = [engine("plain", "CPU"), engine("rich", "CPU", "GPU")]
    runtimes = Catalog("runtime", [Entry(spec, plugin) for spec in specs])
    return dataclasses.replace(registry, runtimes=runtimes)


MODEL = ModelFile(
    path=Path("x"),
    format="toy",
    precision="fp16",
    contract=contract(),
    interface=Interface(fixed=True),
)


def labels(registry, *devices):
    found = load_contestants(registry, [MODEL], RuntimeOptions(threads=1, note=print), devices)
    return [(one.label, one.device) for one in found]


def test_one_device_goes_without_saying(toy):
    assert labels(toy, "cpu") == [("Plain fp16 fixed", "CPU"), ("Rich fp16 fixed", "CPU")]


def test_several_devices_take_part_in_the_same_rounds(toy, capsys):
    everything = [
        ("Plain fp16 fixed on CPU", "CPU"),
        ("Rich fp16 fixed on CPU", "CPU"),
        ("Rich fp16 fixed on GPU", "GPU"),
    ]
    assert labels(toy, "all") == everything
    assert capsys.readouterr().out == ""
    assert labels(toy, "CPU", "gpu", "GPU") == everything
    assert "Plain fp16 fixed on GPU is left out" in capsys.readouterr().out


@pytest.mark.parametrize("devices", [("NPU",), ("CPU", "NPU")])
def test_a_device_that_no_engine_has_is_an_error_not_a_smaller_table(toy, devices, capsys):
    with pytest.raises(MachineError, match="NPU not found"):
        labels(toy, *devices)
    assert "is left out: NPU not found" in capsys.readouterr().out


@pytest.mark.parametrize(("devices", "details"), [(("CPU", "GPU"), None), (("CPU",), dict)])
def test_a_missing_device_is_told_of_by_an_engine_that_might_have_had_it(
    toy, devices, details, capsys
):
    """One for the processor alone names others, though they are here and lack it as well."""

    def only_processor(model, options):
        raise MachineError("The processor only.", hint="Export for another engine.")

    plain, rich = toy.runtimes.entries
    first = dataclasses.replace(plain.spec, open=only_processor)
    second = dataclasses.replace(
        rich.spec, devices=lambda: dict.fromkeys(devices, ""), details=details
    )
    entries = [Entry(first, plain.plugin), Entry(second, rich.plugin)]
    changed = dataclasses.replace(toy, runtimes=Catalog("runtime", entries))
    with pytest.raises(MachineError, match="NPU not found"):
        labels(changed, "npu")
    assert capsys.readouterr().out.splitlines() == [
        "Plain fp16 fixed is left out: The processor only.",
        "Rich fp16 fixed is left out: NPU not found; there are ('CPU', 'GPU').",
    ]


def test_a_device_of_two_names_takes_part_once(toy):
    assert labels(toy, "GPU", "iGPU", "gpu.0", "GPU") == [("Rich fp16 fixed", "GPU")]
    assert labels(toy, "gpu", "all", "iGPU") == labels(toy, "all")


def test_what_would_be_named_alike_is_told_apart(toy):
    def named(*models):
        found = load_contestants(toy, list(models), RuntimeOptions(threads=1), ("CPU",))
        return [one.label for one in found if one.runtime.name == "plain"]

    def model(path, network="mlp"):
        own = contract(architecture=network)
        return dataclasses.replace(MODEL, path=Path("/runs", path), contract=own)

    one = model("one/exports/toy-fp16/model")
    assert named(one) == ["Plain fp16 fixed"]
    assert named(one, model("one/best")) == ["one Plain fp16 fixed"] * 2
    assert named(one, model("two/best")) == ["one Plain fp16 fixed", "two Plain fp16 fixed"]
    assert named(one, model("two/best", "vgg")) == ["mlp Plain fp16 fixed", "vgg Plain fp16 fixed"]
    assert named(model("a/one/x"), model("b/one/x")) == [
        "/runs/a/one Plain fp16 fixed",
        "/runs/b/one Plain fp16 fixed",
    ]
    three = named(one, model("two/best"), model("two/vgg", "vgg"))
    assert three == [f"{name} Plain fp16 fixed" for name in ("one mlp", "two mlp", "two vgg")]


@pytest.mark.parametrize(
    ("runs", "short"),
    [
        (("20260301-101112-mlp-a", "20260302-101112-mlp-b"), ("mlp-a", "mlp-b")),
        (
            ("20260301-101112-mlp-a", "20260302-101112-mlp-a"),
            ("20260301-101112", "20260302-101112"),
        ),
        (("20260301-101112-mlp-a", "mine"), ("mlp-a", "mine")),
        (("20260301-101112-mlp-a", "20260301-101112-vgg-a", "mlp-a"), None),
    ],
)
def test_runs_are_told_apart_in_few_words(toy, runs, short):
    models = [dataclasses.replace(MODEL, path=Path("/runs", run, "best")) for run in runs]
    found = load_contestants(toy, models, RuntimeOptions(threads=1), ("CPU",), only=("plain",))
    assert [one.label.removesuffix(" Plain fp16 fixed") for one in found] == list(short or runs)


@pytest.fixture
def failing(toy):
    """The engines of `toy`, the second of which says that it has an NPU, which then fails."""
    plain, rich = toy.runtimes.entries
    devices = dict.fromkeys(("CPU", "GPU", "NPU"), "a device")
    spec = dataclasses.replace(rich.spec, devices=lambda: devices)
    runtimes = Catalog("runtime", [plain, Entry(spec, rich.plugin)])
    return dataclasses.replace(toy, runtimes=runtimes)


def test_of_all_devices_one_that_fails_does_not_end_the_others(failing, capsys):
    assert [device for _, device in labels(failing, "all")] == ["CPU", "CPU", "GPU"]
    assert "Rich fp16 fixed on NPU is left out: NPU not found" in capsys.readouterr().out
    with pytest.raises(MachineError, match="NPU not found"):
        labels(failing, "all", "NPU")


def test_where_no_device_can_be_used_that_is_an_error(failing):
    _, rich = failing.runtimes.entries
    spec = dataclasses.replace(rich.spec, devices=lambda: {"NPU": "a device"})
    alone = Catalog("runtime", [Entry(spec, rich.plugin)])
    with pytest.raises(MachineError, match="NPU not found"):
        labels(dataclasses.replace(failing, runtimes=alone), "all")


def broken(*arguments):
    raise RuntimeError("a fault of its own")


@pytest.mark.parametrize(
    "changes",
    [
        {"devices": broken},
        {"devices": lambda: None},
        {"open": broken},
        {"open": lambda model, options: None},
        {"open": lambda model, options: Speechless("CPU")},
    ],
)
def test_an_engine_that_fails_is_left_out(toy, changes, capsys):
    plain, rich = toy.runtimes.entries
    spec = dataclasses.replace(rich.spec, **changes)
    runtimes = Catalog("runtime", [plain, Entry(spec, rich.plugin)])
    changed = dataclasses.replace(toy, runtimes=runtimes)
    assert labels(changed, "all") == [("Plain fp16 fixed on CPU", "CPU")]
    told = capsys.readouterr().out
    assert "Rich fp16 fixed" in told
    assert "is left out: " in told
    alone = Catalog("runtime", [Entry(spec, rich.plugin)])
    with pytest.raises(PluginError, match="Rich"):
        labels(dataclasses.replace(toy, runtimes=alone), "all")


def test_an_engine_that_fits_no_model_is_said(toy):
    with pytest.raises(UsageError, match="No installed runtime"):
        load_contestants(
            toy, [dataclasses.replace(MODEL, format="none")], RuntimeOptions(), ("CPU",)
        )


def test_a_device_is_named_only_where_it_was(toy):
    def named(*devices):
        found = load_contestants(toy, [MODEL], RuntimeOptions(threads=1), devices)
        return [one.named for one in found]

    assert named("cpu") == [True, True]
    assert named("all") == [False, False, False]
    assert named("all", "gpu") == [False, False, True]
    assert named("all", "gpu.0") == named("all", "iGPU") == [False, False, True]
    assert named("gpu", "all") == [False, False, True]


def test_a_named_device_that_no_engine_lists_is_an_error_beside_all(toy):
    with pytest.raises(MachineError, match="NPU"):
        load_contestants(toy, [MODEL], RuntimeOptions(threads=1), ("all", "NPU"))


def test_a_device_has_its_full_name_and_its_driver(toy):
    (engine,) = [spec for spec in toy.runtimes.specs if spec.name == "rich"]

    def names(place, **changes):
        runtime = dataclasses.replace(engine, **changes)
        return device_names([Contestant("label", MODEL, runtime, Opened(place), 0.0, place)])

    iris = {"devices": lambda: {"GPU": "Iris Xe"}, "details": lambda: {"GPU": {"driver": "31.0"}}}
    assert names("GPU", **iris) == {"GPU": "Iris Xe, driver 31.0"}
    assert names("GPU.0", **iris) == {"GPU.0": "Iris Xe, driver 31.0"}
    assert names("GPU.1", **iris) == {"GPU.1": "GPU.1"}
    assert names("GPU.1", devices=lambda: {"GPU.1": "Arc"}) == {"GPU.1": "Arc"}
    assert names("GPU", devices=broken) == {"GPU": "GPU"}
