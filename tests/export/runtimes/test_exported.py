"""What the engines for exported models have in common."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cnnreg import MachineError, ModelFile, ModelFileError, RuntimeOptions
from cnnreg.machine import environment
from cnnreg.registry import Registry

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels

Exported = Callable[..., ModelFile]

PAIRS = [("onnx", "onnxruntime"), ("onnx", "openvino"), ("openvino", "openvino")]

WITHOUT_TORCH = """
import json, sys
from pathlib import Path
import numpy as np
from cnnreg import ModelContract, ModelFile, RuntimeOptions, load_registry

format_name, name, path = sys.argv[1:]
runtime = load_registry().runtimes[name]
contract = ModelContract.from_data(json.loads(runtime.metadata(Path(path))["contract"]))
model = ModelFile(path=Path(path), format=format_name, precision="int8", contract=contract)
session = runtime.open(model, RuntimeOptions(threads=1))
channels, height, width = contract.input_shape
logits = session.infer(session.prepare(np.zeros((2, height, width, channels), np.uint8)))
assert logits.shape == (2, contract.num_classes)
heavy = {"torch", "onnx", "nncf"} & set(sys.modules)
assert not heavy, heavy
"""

INTERRUPTED = """
import json, signal, sys
from pathlib import Path
from cnnreg import ModelContract, ModelFile, RuntimeOptions, load_registry

runtime, path = load_registry().runtimes["openvino"], Path(sys.argv[1])
contract = ModelContract.from_data(json.loads(runtime.metadata(path)["contract"]))
model = ModelFile(path=path, format="openvino", precision="fp32", contract=contract)
first = runtime.open(model, RuntimeOptions(threads=1))
second = runtime.open(model, RuntimeOptions(threads=1))
del first
del second
try:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture
def moved(exported: Exported, tmp_path: Path) -> Callable[[str], ModelFile]:
    """A copy that a test may spoil, in a folder with a name not everyone can spell."""

    def copy(format_name: str) -> ModelFile:
        model = exported(format_name, "fp32")
        folder = tmp_path / "Größe 犬"
        shutil.copytree(model.path.parent, folder)
        return replace(model, path=folder / model.path.name)

    return copy


@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_exported_models_run_without_torch(
    exported: Exported, format_name: str, runtime: str
) -> None:
    path = exported(format_name, "int8").path
    command = [sys.executable, "-c", WITHOUT_TORCH, format_name, runtime, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_any_folder_name_will_do(
    registry: Registry,
    moved: Callable[[str], ModelFile],
    images: Pixels,
    expected: Logits,
    format_name: str,
    runtime: str,
) -> None:
    session = registry.runtimes[runtime].open(moved(format_name), RuntimeOptions(threads=1))
    logits = session.infer(session.prepare(images))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("content", [None, b"", b"<html>not here</html>"])
@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_damaged_files_are_refused_in_one_line(
    registry: Registry,
    moved: Callable[[str], ModelFile],
    capfd: pytest.CaptureFixture[str],
    format_name: str,
    runtime: str,
    content: bytes | None,
) -> None:
    model = moved(format_name)
    whole = model.path.read_bytes()
    model.path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    _is_refused(registry, runtime, model)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("keep", [0, 100, None])
def test_weights_cut_short_or_missing_are_refused(
    registry: Registry, moved: Callable[[str], ModelFile], keep: int | None
) -> None:
    model = moved("openvino")
    weights = model.path.with_suffix(".bin")
    if keep is None:
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:keep])
    _is_refused(registry, "openvino", model)


@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_a_network_that_does_not_fit_its_contract_is_refused(
    registry: Registry, exported: Exported, format_name: str, runtime: str
) -> None:
    model = exported(format_name, "fp32")
    wrong = replace(model, contract=replace(model.contract, input_shape=(3, 16, 16)))
    with pytest.raises(ModelFileError, match="its contract"):
        registry.runtimes[runtime].open(wrong, RuntimeOptions(threads=1))


@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_a_missing_device_is_named_with_those_there_are(
    registry: Registry, exported: Exported, format_name: str, runtime: str
) -> None:
    options = RuntimeOptions(device="tpu")
    with pytest.raises(MachineError, match=r"TPU not found; there are .*CPU|CPU only, not on TPU"):
        registry.runtimes[runtime].open(exported(format_name, "fp32"), options)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "pytorch"])
def test_the_processor_is_a_device_with_a_name(registry: Registry, runtime: str) -> None:
    assert registry.runtimes[runtime].devices()["CPU"]


def test_onnx_runtime_describes_what_it_uses(registry: Registry, exported: Exported) -> None:
    runtime = registry.runtimes["onnxruntime"]
    session = runtime.open(exported("onnx", "int8"), RuntimeOptions(device="cpu", threads=1))
    assert session.describe() == {"device": "CPU", "threads": "1"}


@pytest.mark.parametrize(
    ("asked", "usable", "given"), [(None, 8, 0), (4, 8, 0), (3, 8, 3), (4, 6, 4), (None, 6, 4)]
)
def test_onnx_runtime_holds_threads_to_cores_where_one_for_each_is_wanted(
    registry: Registry,
    exported: Exported,
    monkeypatch: pytest.MonkeyPatch,
    asked: int | None,
    usable: int,
    given: int,
) -> None:
    monkeypatch.setattr(environment, "physical_cores", lambda: 4)
    monkeypatch.setattr(environment, "usable_processors", lambda: usable)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    opened = registry.runtimes["onnxruntime"].open(
        exported("onnx", "fp32"), RuntimeOptions(threads=asked)
    )
    assert opened.describe()["threads"] == (str(given) if given else "one per core")


def test_openvino_computes_in_f32_even_where_bf16_is_faster(
    registry: Registry, exported: Exported
) -> None:
    runtime = registry.runtimes["openvino"]
    session = runtime.open(exported("openvino", "fp32"), RuntimeOptions(device="cpu", threads=1))
    found = dict(session.describe())
    assert found.pop("pinning") in {"yes", "no"}  # each system has its own custom
    assert found == {
        "device": "CPU",
        "threads": "1",
        "hyper-threading": "no",
        "float precision": "f32",
        "streams": "1",
        "from cache": "no",
    }


def _is_refused(registry: Registry, runtime: str, model: ModelFile) -> None:
    engine = registry.runtimes[runtime]
    with pytest.raises(ModelFileError) as caught:
        engine.open(model, RuntimeOptions(threads=1))
    assert "\n" not in str(caught.value)
    assert caught.value.where
    assert caught.value.hint
    assert engine.metadata is not None
    with pytest.raises(ModelFileError):
        engine.metadata(model.path)


def test_ctrl_c_after_models_came_and_went(exported: Exported) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(exported("openvino", "fp32").path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n")
