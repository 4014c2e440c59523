from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch import nn

from cnnreg import ExportRequest, GateError
from cnnreg.images import normalise
from cnnreg.registry import Registry
from cnnreg_export.formats import quantise

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
        AdvancedQuantizationParameters=dict,
    )
    monkeypatch.setattr(quantise, "untracked", lambda name: fake)
    monkeypatch.setattr(quantise, "MAX_IMAGES", 5)
    request = request_for(network, "int8")
    assert quantise.quantise("model", request) == "model"
    assert seen["subset_size"] == len(seen["items"]) == 5
    inputs = normalise(images[4:5], request.contract.mean, request.contract.std)
    np.testing.assert_array_equal(seen["items"][4]["images"], inputs)
