"""What an engine tells of its devices."""

from __future__ import annotations

import pytest

from cnnreg.machine.devices import alike, details_of, devices_of, identity_of, kind_of
from cnnreg.machine.environment import installed
from cnnreg.specs import RuntimeSpec


def fail(*arguments):
    raise RuntimeError("driver")


def engine(**more):
    told = {
        "devices": lambda: {"CPU": "some processor", "GPU.0": "Iris Xe", "GPU.1": "Arc"},
        "details": lambda: {"GPU.0": {"driver": "32.0"}},
        "requires": ("numpy",),
    }
    return RuntimeSpec(name="one", title="One", formats=("onnx",), open=fail, **{**told, **more})


def test_a_place_is_a_device_a_driver_and_a_version():
    version = f"numpy {installed('numpy')}"
    iris = {"device_name": "Iris Xe", "driver": "32.0", "engine": version}
    assert identity_of(engine(), "GPU") == identity_of(engine(), "gpu.0") == iris
    assert identity_of(engine(), "GPU.1") == {"device_name": "Arc", "driver": "", "engine": version}


def test_a_processor_is_named_without_asking_for_the_details_of_all():
    told = engine(details=lambda: pytest.fail("asked"), requires=("no-such-package",))
    place = identity_of(told, "CPU")
    assert place == {"device_name": "some processor", "driver": "", "engine": "no-such-package"}


def test_what_a_driver_does_not_tell_is_empty():
    broken = engine(devices=fail, details=fail, requires=())
    assert (devices_of(broken), details_of(broken)) == ({}, {})
    assert identity_of(broken, "GPU") == {"device_name": "", "driver": "", "engine": ""}
    assert details_of(engine(details=None)) == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("GPU", "GPU.0", True), ("gpu.1", "GPU.1", True), ("GPU", "GPU.1", False)],
)
def test_a_device_may_be_named_with_its_number(one, other, same):
    assert alike(one, other) is same


def test_a_kind_of_device_is_what_stands_before_its_number():
    assert [kind_of(name) for name in ("GPU", "gpu.1", "CPU")] == ["GPU", "GPU", "CPU"]
