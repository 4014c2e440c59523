from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from torch import nn

import cnnreg
from cnnreg import ExportRequest, ModelFile, RuntimeOptions
from cnnreg.registry import Registry
from cnnreg.specs import Precision
from cnnreg_export.formats.onnx import writer

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels

Exported = Callable[..., ModelFile]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_one_file_with_named_float_input_and_output(
    exported: Exported, precision: Precision
) -> None:
    path = exported("onnx", precision).path
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(path)
    (images,), (logits,) = model.graph.input, model.graph.output
    assert (images.name, _shape(images)) == ("images", ["batch", 3, 16, 24])
    assert (logits.name, _shape(logits)) == ("logits", ["batch", 4])
    for value in (images, logits):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)  # of one release of 2023
    assert (model.producer_name, model.producer_version) == ("cnnreg", cnnreg.__version__)


def test_weights_have_the_precision_that_was_asked_for(exported: Exported) -> None:
    assert _weight_types(exported("onnx", "fp32").path) == {"FLOAT"}
    assert _weight_types(exported("onnx", "fp16").path) == {"FLOAT16"}
    assert "INT8" in _weight_types(exported("onnx", "int8").path)


def test_int8_quantises_every_convolution(exported: Exported) -> None:
    operators = Counter(
        node.op_type for node in onnx.load(exported("onnx", "int8").path).graph.node
    )
    assert operators["QuantizeLinear"] >= operators["Conv"] == 3
    assert operators["DequantizeLinear"] >= 2 * operators["Conv"]


def test_weights_too_large_for_one_file_lie_beside_it(
    monkeypatch: pytest.MonkeyPatch,
    registry: Registry,
    request_for: Callable[..., ExportRequest],
    network: nn.Module,
    images: Pixels,
    expected: Logits,
) -> None:
    monkeypatch.setattr(writer, "MAX_FILE_BYTES", 100)
    request = request_for(network)
    path = registry.exporters["onnx"].write(request)
    names = sorted(file.name for file in request.folder.iterdir())
    assert names == ["model.onnx", "model.onnx.data"]
    model = ModelFile(path=path, format="onnx", precision="fp32", contract=request.contract)
    for runtime in ("onnxruntime", "openvino"):
        session = registry.runtimes[runtime].open(model, RuntimeOptions(threads=1))
        logits = session.infer(session.prepare(images))
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def _shape(value: onnx.ValueInfoProto) -> list[str | int]:
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]


def _weight_types(path: Path) -> set[str]:
    """Element types of all tensors larger than a scalar, shapes left out."""
    tensors = onnx.load(path).graph.initializer
    names = {onnx.TensorProto.DataType.Name(t.data_type) for t in tensors if np.prod(t.dims) > 1}
    return names - {"INT64"}
