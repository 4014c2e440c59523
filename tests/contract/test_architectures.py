"""Every registered architecture keeps the contract, and the built-in ones their papers' numbers."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from cnnreg import ArchitectureSpec, load_registry
from cnnreg.conformance import CHECKS, Check
from cnnreg.networks.anatomy import count_parameters
from cnnreg.networks.weightless import built_weightless
from cnnreg.registry import Registry

SPECS = [entry.spec for entry in load_registry().architectures.entries]
HEAVY = 2.5e9  # MACs; above this, what takes long in large networks belongs to the slow tests
LONG = {"shapes", "savable", "whole state", "evaluation", "learns"}


def contract() -> Iterator[Any]:
    for spec in SPECS:
        for check in CHECKS:
            slow = check.name in LONG and spec.macs > HEAVY
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param(spec, check, id=f"{spec.name}-{check.name}", marks=marks)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("spec", "check"), list(contract()))
def test_contract(spec: ArchitectureSpec, check: Check) -> None:
    outcome = check(spec)
    assert outcome.passed, outcome.reason


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_building_is_silent(spec: ArchitectureSpec, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("error")
        spec.build(spec.options())
    assert capsys.readouterr() == ("", "")


def test_no_name_is_offered_twice(registry: Registry) -> None:
    assert not registry.architectures.conflicts()


# --- Published numbers ----------------------------------------------------------------

AT_1000_CLASSES = {  # torchvision's, in its Weights.meta["num_params"]
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "googlenet": 6_624_904,
    "inception_v3": 27_161_264,
    "mobilenet_v2": 3_504_872,
    "shufflenet_v2_x0_5": 1_366_792,
    "shufflenet_v2_x1_0": 2_278_604,
    "shufflenet_v2_x1_5": 3_503_624,
    "shufflenet_v2_x2_0": 7_393_996,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
}

MILLIONS = {  # as printed: parameters in millions, MACs in millions (None: not printed)
    "mobilenet_v1": (4.2, 569),  # MobileNets, table 8
    "mobilenet_v1_x0_75": (2.6, 325),  # table 6
    "mobilenet_v1_x0_5": (1.3, 149),
    "mobilenet_v1_x0_25": (0.5, 41),
    "shufflenet_v1": (1.9, 137),  # ShuffleNet, table 1 (g = 3); its authors' code: 1.9 M
    "resnet20": (0.27, None),  # Deep Residual Learning, table 6
    "resnet32": (0.46, None),
    "resnet44": (0.66, None),
    "resnet56": (0.85, None),
    "resnet110": (1.7, None),
    "wrn_28_10": (36.5, None),  # Wide Residual Networks, table 4
}

SMALL_AT_10_CLASSES = {  # 3x32x32
    "resnet18": 11_173_962,
    "resnet34": 21_282_122,
    "resnet50": 23_520_842,
    "resnet101": 42_512_970,
    "resnet152": 58_156_618,
    "vgg16_bn": 14_728_266,
    "mobilenet_v2": 2_236_682,
    "shufflenet_v2_x0_5": 352_042,
    "shufflenet_v2_x1_0": 1_263_854,
}


@pytest.mark.parametrize("name", AT_1000_CLASSES)
def test_parameters_are_the_published_ones(registry: Registry, name: str) -> None:
    spec = registry.architectures[name]
    assert (spec.num_classes, spec.parameters) == (1000, AT_1000_CLASSES[name])


@pytest.mark.parametrize("name", MILLIONS)
def test_parameters_and_macs_round_to_the_paper(registry: Registry, name: str) -> None:
    spec = registry.architectures[name]
    parameters, macs = MILLIONS[name]
    decimals = len(str(parameters).partition(".")[2])
    assert round(spec.parameters / 1e6, decimals) == parameters
    assert macs is None or round(spec.macs / 1e6) == macs


@pytest.mark.parametrize("name", SMALL_AT_10_CLASSES)
def test_small_forms_have_their_known_size(registry: Registry, name: str) -> None:
    spec = registry.architectures[name]
    options = spec.options(num_classes=10, input_shape=(3, 32, 32))
    model = built_weightless(lambda: spec.build(options))
    assert options.form == "small"
    assert count_parameters(model) == SMALL_AT_10_CLASSES[name]


# --- Without torch --------------------------------------------------------------------


def test_listing_architectures_imports_nothing_heavy() -> None:
    code = (
        "import sys, cnnreg\n"
        "names = list(cnnreg.load_registry().architectures)\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'PIL'} & set(sys.modules)\n"
        "assert len(names) > 40 and not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
