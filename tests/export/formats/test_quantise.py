from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from torch import nn

from cnnreg import ExportRequest, GateError
from cnnreg.images import normalise
from cnnreg.registry import Registry
from cnnreg.specs import Quantisation
from cnnreg_export.formats import quantise
from cnnreg_export.runtimes.openvino.session import read_model

if TYPE_CHECKING:
    from cnnreg.specs import Pixels


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_int8_without_images_is_refused(
    registry: Registry,
    request_for: Callable[..., ExportRequest],
    network: nn.Module,
    images: Pixels,
    format_name: str,
) -> None:
    request = replace(request_for(network, "int8"), calibration=images[:0])
    with pytest.raises(GateError, match="training images") as caught:
        registry.exporters[format_name].write(request)
    assert caught.value.hint
    assert list(request.folder.iterdir()) == []


def test_calibration_counts_images_and_normalises_them(
    monkeypatch: pytest.MonkeyPatch,
    request_for: Callable[..., ExportRequest],
    network: nn.Module,
    images: Pixels,
) -> None:
    seen: dict[str, Any] = {}
    fake = SimpleNamespace(
        Dataset=list,
        quantize=lambda model, items, **settings: seen.update(settings, items=items) or model,
        QuantizationPreset=SimpleNamespace(MIXED="mixed"),
        TargetDevice=SimpleNamespace(CPU="cpu"),
        IgnoredScope=dict,
        AdvancedQuantizationParameters=dict,
    )
    monkeypatch.setattr(quantise, "untracked", lambda name: fake)
    monkeypatch.setattr(quantise, "BATCH", 2)
    request = request_for(network, "int8")
    request = replace(request, calibration=request.calibration[:5])
    assert quantise.quantise("model", request, {}) == "model"
    assert [len(item["images"]) for item in seen["items"]] == [2, 2, 1]
    assert seen["subset_size"] == 3
    fast = {"disable_bias_correction": True, "batchwise_statistics": True}
    assert seen["advanced_parameters"] == fast
    exact = Quantisation(exact_bias=True, float_layers=("stem.0",))
    quantise.quantise("model", replace(request, quantisation=exact), {"stem.0": ["a", "b"]})
    assert seen["advanced_parameters"] == fast | {"disable_bias_correction": False}
    assert seen["ignored_scope"] == {"names": ["a", "b"]}
    assert seen["fast_bias_correction"] is False
    inputs = normalise(images[4:5], request.contract.mean, request.contract.std)
    np.testing.assert_array_equal(seen["items"][2]["images"], inputs)


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_statistics_are_those_of_each_image_however_many_are_taken_at_once(
    registry: Registry,
    request_for: Callable[..., ExportRequest],
    network: nn.Module,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    format_name: str,
) -> None:
    weights = []
    for batch in (1, 5):
        monkeypatch.setattr(quantise, "BATCH", batch)
        folder = tmp_path / f"{batch}"
        folder.mkdir()
        request = replace(request_for(network, "int8"), folder=folder)
        file = registry.exporters[format_name].write(request)
        holder = file if format_name == "onnx" else file.with_suffix(".bin")
        weights.append(holder.read_bytes())
    assert weights[0] == weights[1]


FLOATS = ("stem.0", "branch.0", "classifier")  # with batch norm, grouped, a product
WEIGHTS = {
    "stem.0": (8, 3, 3, 3),
    "branch.0": (8, 1, 3, 3),
    "last.0": (16, 8, 1, 1),
    "classifier": (4, 16),
}


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_layers_left_in_float_are_float_in_the_file_and_no_others(
    registry: Registry,
    request_for: Callable[..., ExportRequest],
    network: nn.Module,
    format_name: str,
) -> None:
    wish = Quantisation(exact_bias=True, float_layers=FLOATS)
    request = replace(request_for(network, "int8"), quantisation=wish)
    path = registry.exporters[format_name].write(request)
    floats = _onnx_floats(path) if format_name == "onnx" else _openvino_floats(path)
    assert floats == sorted(tuple(sorted(WEIGHTS[layer])) for layer in FLOATS)


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_the_same_network_gives_the_same_bytes_of_weights(
    registry: Registry,
    request_for: Callable[..., ExportRequest],
    network: nn.Module,
    format_name: str,
) -> None:
    def weights() -> bytes:
        path = registry.exporters[format_name].write(request_for(network, "int8"))
        return (path if format_name == "onnx" else path.with_suffix(".bin")).read_bytes()

    assert weights() == weights()


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_a_layer_that_the_file_has_not_cannot_be_left_in_float(
    registry: Registry,
    request_for: Callable[..., ExportRequest],
    network: nn.Module,
    format_name: str,
) -> None:
    wish = Quantisation(float_layers=("head.1",))
    request = replace(request_for(network, "int8"), quantisation=wish)
    with pytest.raises(GateError, match="Layer 'head.1' cannot be left in float"):
        registry.exporters[format_name].write(request)


def _onnx_floats(path: Path) -> list[tuple[int, ...]]:
    """Shapes of the float weights that a convolution or product takes as they are."""
    graph = onnx.load(path).graph
    shapes = {t.name: tuple(t.dims) for t in graph.initializer if t.data_type == 1}
    taken = [node.input[1] for node in graph.node if node.op_type in {"Conv", "Gemm", "MatMul"}]
    return sorted(tuple(sorted(shapes[name])) for name in taken if name in shapes)


def _openvino_floats(path: Path) -> list[tuple[int, ...]]:
    """The same; a grouped convolution has its groups as a dimension of their own."""
    found = []
    for node in read_model(path).get_ordered_ops():
        if node.get_type_name() in {"Convolution", "GroupConvolution", "MatMul"}:
            origin = node.input_value(1).get_node()
            while origin.get_type_name() in {"Convert", "Reshape"}:
                origin = origin.input_value(0).get_node()
            if origin.get_type_name() == "Constant" and origin.get_element_type().is_real():
                shape = tuple(node.input_value(1).get_shape())
                sizes = shape[:1] + shape[2:] if len(shape) == 5 else shape
                found.append(tuple(sorted(sizes)))
    return sorted(found)
