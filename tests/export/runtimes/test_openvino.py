"""OpenVINO beyond the processor: a pretended GPU, and compiled models that are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cnnreg import MachineError, ModelFile, RuntimeOptions
from cnnreg.machine import environment
from cnnreg.machine.compiled import SEAL, compiled_folder
from cnnreg.registry import Registry
from cnnreg.specs import Interface
from cnnreg_export.runtimes.openvino import compiling, hardware, session
from cnnreg_export.runtimes.openvino.compiling import settings
from cnnreg_export.runtimes.openvino.hardware import device_details, found_devices

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels

Exported = Callable[..., ModelFile]

IRIS = {
    "FULL_DEVICE_NAME": "Intel(R) Iris(R) Xe Graphics (iGPU)",
    "OPTIMIZATION_CAPABILITIES": ["FP32", "BIN", "FP16", "INT8"],
    "DEVICE_TYPE": "Type.INTEGRATED",
    "GPU_EXECUTION_UNITS_COUNT": 80,
    "GPU_DRIVER_VERSION": "32.0.101.7076",
}


class Pretended:
    """OpenVINO's Core with a GPU whose models the processor runs."""

    def __init__(self, real: Any) -> None:
        self.real, self.asked = real, list[tuple[str, dict[str, Any]]]()
        self.available_devices = ["CPU", "GPU"]
        self.facts = dict(IRIS)

    def get_property(self, device: str, key: str) -> Any:
        return self.facts[key] if device == "GPU" else self.real.get_property(device, key)

    def compile_model(self, network: Any, device: str, config: dict[str, Any]) -> Any:
        self.asked.append((device, config))
        assert device == "CPU" or not network.is_dynamic()
        exact = {"INFERENCE_PRECISION_HINT": "f32"} if device == "GPU" else {}
        return self.real.compile_model(network, "CPU", {**config, **exact})

    def read_model(self, *parts: bytes) -> Any:
        return self.real.read_model(*parts)


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    pretended = Pretended(hardware.core())
    for module in (hardware, compiling, session):
        monkeypatch.setattr(module, "core", lambda: pretended)
    return pretended


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("GPU", "fp32", {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}),
        (
            "GPU.1",
            "fp16",
            {"INFERENCE_PRECISION_HINT": "f16", "EXECUTION_MODE_HINT": "PERFORMANCE"},
        ),
        ("GPU", "int8", {"INFERENCE_PRECISION_HINT": "f16", "EXECUTION_MODE_HINT": "PERFORMANCE"}),
        ("CPU", "int8", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}),
        ("NPU", "fp16", {}),
    ],
)
def test_each_device_computes_as_the_file_says(
    device, precision, expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "physical_cores", lambda: 4)
    assert settings(device, precision, 2) == {"PERFORMANCE_HINT": "LATENCY", **expected}


@pytest.mark.parametrize(
    ("asked", "usable", "told"), [(None, 8, None), (4, 8, None), (3, 8, 3), (None, 6, 4)]
)
def test_timing_with_a_thread_for_each_core_compiles_as_using_does(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, usable: int, told: int | None
) -> None:
    """Which names no number: OpenVINO tells fast cores from slow ones, and one socket's."""
    monkeypatch.setattr(environment, "physical_cores", lambda: 4)
    monkeypatch.setattr(environment, "usable_processors", lambda: usable)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert settings("CPU", "fp32", asked).get("INFERENCE_NUM_THREADS") == told


@pytest.mark.parametrize("interface", [Interface(), Interface(embed=True), Interface(fixed=True)])
def test_a_gpu_gets_one_image_of_one_size_at_a_time(
    registry: Registry,
    exported: Exported,
    images: Pixels,
    expected: Logits,
    core: Pretended,
    interface: Interface,
) -> None:
    model = exported("openvino", "fp16", interface)
    opened = registry.runtimes["openvino"].open(model, RuntimeOptions(device="igpu"))
    logits = opened.infer(opened.prepare(images))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-2)
    assert [device for device, _ in core.asked] == ["GPU"]


def test_threads_that_share_a_model_get_each_its_own_answers(
    registry: Registry, exported: Exported, images: Pixels, expected: Logits
) -> None:
    model = exported("openvino", "fp32")
    opened = registry.runtimes["openvino"].open(model, RuntimeOptions(threads=1))
    inputs = [opened.prepare(images[row : row + 1]) for row in range(len(images))]

    def wrong(row: int) -> int:
        answers = (opened.infer(inputs[row]) for _ in range(200))
        return sum(np.abs(answer - expected[row]).max() > 1e-2 for answer in answers)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(wrong, range(4))) == 0


def test_a_gpus_model_is_kept_per_driver(
    registry: Registry, exported: Exported, images: Pixels, core: Pretended
) -> None:
    open_model = registry.runtimes["openvino"].open
    model = exported("openvino", "fp16")
    first, again = [open_model(model, RuntimeOptions(device="GPU")) for _ in range(2)]
    assert [one.describe()["from cache"] for one in (first, again)] == ["no", "yes"]
    inputs = first.prepare(images)
    np.testing.assert_array_equal(first.infer(inputs), again.infer(inputs))
    open_model(model, RuntimeOptions(device="GPU", batch=2))
    assert _shelves() == [2]
    core.facts["GPU_DRIVER_VERSION"] = "32.0.101.9999"
    open_model(model, RuntimeOptions(device="GPU"))
    assert _shelves() == [1, 2]


def test_a_processors_model_is_not_kept(registry: Registry, exported: Exported) -> None:
    registry.runtimes["openvino"].open(exported("openvino", "fp32"), RuntimeOptions())
    assert _shelves() == []


@pytest.mark.parametrize("where", [0.1, 0.5, 0.99])
def test_a_damaged_compiled_model_changes_no_answer(
    registry: Registry,
    exported: Exported,
    images: Pixels,
    monkeypatch: pytest.MonkeyPatch,
    where: float,
) -> None:
    monkeypatch.setattr(compiling, "KEPT", ("CPU",))
    notes: list[str] = []
    model, options = exported("onnx", "fp32"), RuntimeOptions(threads=1, note=notes.append)

    def answer() -> Logits:
        opened = registry.runtimes["openvino"].open(model, options)
        return opened.infer(opened.prepare(images))

    before = answer()
    (blob,) = compiled_folder().glob("*/*/*.blob")
    content = bytearray(blob.read_bytes())
    at = int(where * len(content))
    content[at : at + 8] = bytes(255 - byte for byte in content[at : at + 8])
    blob.write_bytes(content)
    np.testing.assert_array_equal(answer(), before)
    assert len(notes) == 1
    np.testing.assert_array_equal(answer(), before)
    assert len(notes) == 1


def test_another_file_of_the_same_name_is_another_model(
    registry: Registry, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "KEPT", ("CPU",))
    for number, precision in enumerate(("fp32", "int8"), 1):
        model = exported("openvino", precision)
        shutil.copytree(model.path.parent, tmp_path / "here", dirs_exist_ok=True)
        copy = replace(model, path=tmp_path / "here" / model.path.name)
        registry.runtimes["openvino"].open(copy, RuntimeOptions(threads=1))
        assert _shelves() == [number]


def test_a_device_that_fails_is_named_and_the_processor_not_taken_silently(
    registry: Registry, exported: Exported, core: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("[GPU] out of resources")

    monkeypatch.setattr(core, "compile_model", fail)
    with pytest.raises(MachineError, match="cannot run this model on GPU: .*out of resources"):
        registry.runtimes["openvino"].open(
            exported("openvino", "fp16"), RuntimeOptions(device="GPU")
        )


class Lost:
    """A request on a device that is gone, or has not the memory for one."""

    def infer(self, *arguments: Any, **options: Any) -> None:
        raise RuntimeError("clWaitForEvents,\nerror code: -14")


def test_a_device_that_fails_in_use_is_the_machines_fault_and_the_processor_never_is(
    registry: Registry, exported: Exported, images: Pixels, core: Pretended
) -> None:
    model = exported("openvino", "fp16", Interface(embed=True, fixed=True))
    for device, kind in (("GPU", MachineError), ("CPU", RuntimeError)):
        opened = registry.runtimes["openvino"].open(model, RuntimeOptions(device=device))
        opened.request, inputs = Lost(), opened.prepare(images)
        for ask in (opened.infer, opened.probabilities):
            with pytest.raises(kind, match="clWaitForEvents") as caught:
                ask(inputs)
            if device == "GPU":
                assert caught.value.what.startswith("GPU failed: ")
                assert caught.value.hint == "Try --device CPU."
                assert "\n" not in str(caught.value)


def test_a_device_without_memory_for_a_request_is_the_machines_fault_too(
    registry: Registry, exported: Exported, core: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Compiled:
        def create_infer_request(self) -> None:
            raise RuntimeError("[GPU] CL_OUT_OF_RESOURCES exception.")

    monkeypatch.setattr(session, "compile_model", lambda *arguments: Compiled())
    with pytest.raises(MachineError, match="on GPU: .*CL_OUT_OF_RESOURCES"):
        registry.runtimes["openvino"].open(
            exported("openvino", "fp16"), RuntimeOptions(device="GPU")
        )


def test_details_tell_what_a_driver_tells(core: Pretended) -> None:
    assert found_devices()["GPU"] == IRIS["FULL_DEVICE_NAME"]
    assert device_details()["GPU"] == {
        "capabilities": "FP32, BIN, FP16, INT8",
        "type": "integrated",
        "execution units": "80",
        "driver": "32.0.101.7076",
    }
    core.facts = {}
    assert device_details()["GPU"] == {}
    assert found_devices()["GPU"] == "GPU"


def test_a_gpu_that_is_not_there_is_explained(core: Pretended, monkeypatch) -> None:
    def fail(device: str, key: str) -> None:
        raise RuntimeError('Cannot load library "/x/plugin.so": libOpenCL.so.1: cannot open\n')

    core.available_devices = ["CPU"]
    monkeypatch.setattr(core, "get_property", fail)
    assert device_details() == {"CPU": {}, "GPU": {"problem": "libOpenCL.so.1: cannot open"}}


def _shelves() -> list[int]:
    """How many models each driver has."""
    shelves = compiled_folder().glob("*")
    return sorted(len(list(shelf.glob(f"*/{SEAL}"))) for shelf in shelves)
