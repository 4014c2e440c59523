"""Every format in every precision and runtime answers as the network it was written from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cnnreg import ModelFile, RuntimeOptions
from cnnreg.registry import Registry
from cnnreg.specs import Precision

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels

Exported = Callable[..., ModelFile]

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "int8": 0.5}

PAIRS = [("onnx", "onnxruntime"), ("onnx", "openvino"), ("openvino", "openvino")]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_logits_equal_the_original_at_any_batch_size(
    registry: Registry,
    exported: Exported,
    images: Pixels,
    expected: Logits,
    format_name: str,
    runtime: str,
    precision: Precision,
) -> None:
    model = exported(format_name, precision)
    session = registry.runtimes[runtime].open(model, RuntimeOptions(threads=1))
    for batch in (1, 2, 5):
        logits = session.infer(session.prepare(images[:batch]))
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected[:batch], rtol=0, atol=TOLERANCE[precision])


@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_a_fixed_batch_gives_the_same_logits(
    registry: Registry,
    exported: Exported,
    images: Pixels,
    expected: Logits,
    format_name: str,
    runtime: str,
) -> None:
    model = exported(format_name, "fp32")
    session = registry.runtimes[runtime].open(model, RuntimeOptions(threads=1, batch=3))
    logits = session.infer(session.prepare(images[:3]))
    np.testing.assert_allclose(logits, expected[:3], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_later_answers_leave_earlier_ones_alone(
    registry: Registry, exported: Exported, images: Pixels, format_name: str, runtime: str
) -> None:
    model = exported(format_name, "fp32")
    session = registry.runtimes[runtime].open(model, RuntimeOptions(threads=1))
    first = session.infer(session.prepare(images[:1]))
    kept = first.copy()
    session.infer(session.prepare(images[1:2]))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_stored_texts_come_back_unchanged(
    registry: Registry,
    exported: Exported,
    metadata: dict[str, str],
    format_name: str,
    runtime: str,
    precision: Precision,
) -> None:
    read = registry.runtimes[runtime].metadata
    assert read is not None
    assert dict(read(exported(format_name, precision).path)) == metadata


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_files_do_not_tell_where_they_were_made(exported: Exported, format_name: str) -> None:
    for precision in ("fp32", "int8"):
        content = exported(format_name, precision).path.read_bytes()
        assert b"site-packages" not in content
        assert b"conftest" not in content
