"""Self-contained files: pictures in, probabilities out, in every format, precision and engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from cnnreg import ExportRequest, ModelContract, ModelFile, ModelFileError, RuntimeOptions
from cnnreg.images import fit, normalise
from cnnreg.registry import Registry
from cnnreg.serving.layout import AS_PROVEN
from cnnreg.specs import Interface, Precision
from cnnreg_export.formats.openvino import EXAMPLE
from cnnreg_export.formats.preprocess import LUMA
from cnnreg_export.runtimes.openvino.compiling import settings
from cnnreg_export.runtimes.openvino.session import core, read_model

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels

Exported = Callable[..., ModelFile]

EMBED = Interface(embed=True)
FIXED = [Interface(fixed=True), Interface(embed=True, fixed=True)]
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "int8": 0.5}
PAIRS = [("onnx", "onnxruntime"), ("onnx", "openvino"), ("openvino", "openvino")]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_a_self_contained_file_gives_the_networks_logits(
    registry: Registry,
    exported: Exported,
    images: Pixels,
    expected: Logits,
    format_name: str,
    runtime: str,
    precision: Precision,
) -> None:
    model = exported(format_name, precision, EMBED)
    for batch in (None, len(images)):
        options = RuntimeOptions(threads=1, batch=batch)
        session = registry.runtimes[runtime].open(model, options)
        inputs = session.prepare(images)
        assert inputs.dtype == np.uint8
        logits = session.infer(inputs)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=TOLERANCE[precision])


class LastPixels(nn.Module):
    """Its logits are the last pixels of the first row."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 0, -4:]


@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_16_bits_are_of_the_network_alone(
    registry: Registry,
    request_for: Callable[..., ExportRequest],
    format_name: str,
    runtime: str,
) -> None:
    """In them there is nothing between 1024 and 1025, where the middle of a pixel lies."""
    request = request_for(LastPixels(), "fp16")
    wide = replace(request.contract, input_shape=(3, 16, 1100), resize="squash")
    request = replace(request, contract=wide, interface=EMBED)
    path = registry.exporters[format_name].write(request)
    picture = np.random.default_rng(0).integers(0, 256, (1, 16, 1100, 3), np.uint8)
    model = ModelFile(
        path=path, format=format_name, precision="fp16", contract=wide, interface=EMBED
    )
    session = registry.runtimes[runtime].open(model, RuntimeOptions(threads=1))
    logits = session.infer(session.prepare(picture))
    wanted = normalise(picture, wide.mean, wide.std)[:, 0, 0, -4:]
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=TOLERANCE["fp16"])


@pytest.mark.parametrize("interface", FIXED, ids=lambda interface: interface.suffix)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_a_fixed_file_answers_one_image_after_the_other(
    registry: Registry,
    exported: Exported,
    images: Pixels,
    expected: Logits,
    format_name: str,
    runtime: str,
    precision: Precision,
    interface: Interface,
) -> None:
    model = exported(format_name, precision, interface)
    for options in (RuntimeOptions(threads=1), RuntimeOptions(threads=1, batch=4)):
        session = registry.runtimes[runtime].open(model, options)
        logits = session.infer(session.prepare(images))
        np.testing.assert_allclose(logits, expected, rtol=0, atol=TOLERANCE[precision])


@pytest.mark.parametrize(("format_name", "runtime"), PAIRS)
def test_pictures_of_any_size_are_resized_inside(
    registry: Registry,
    exported: Exported,
    contract: ModelContract,
    format_name: str,
    runtime: str,
) -> None:
    session = registry.runtimes[runtime].open(
        exported(format_name, "fp32", EMBED), RuntimeOptions(threads=1)
    )
    _, height, width = contract.input_shape
    for sides in ((40, 50), (16, 24), (9, 200), (107, 1712), (49, 336)):
        # Smooth, as pictures are: no value lies just between two levels.
        slopes = np.linspace(0, 255, sides[0] * sides[1] * 3).reshape(*sides, 3)
        picture = Image.fromarray(slopes.astype(np.uint8))
        whole = session.infer(np.asarray(picture)[None])
        resized = session.infer(session.prepare(fit(picture, height, width, contract.resize)[None]))
        np.testing.assert_allclose(whole, resized, rtol=0, atol=2e-2)


def test_strangers_are_told_to_compute_as_the_proof_did() -> None:
    """Where a processor has bf16, OpenVINO takes it unless told: here it would not show."""
    name = "INFERENCE_PRECISION_HINT"
    proven = settings("CPU", "fp32", None)[name]
    assert f'{{"{name}": "{proven}"}}' in EXAMPLE
    assert {name: proven} == AS_PROVEN


def test_grey_of_a_picture_fits_16_bits() -> None:
    """In which a GPU computes it."""
    assert 255 * max(LUMA) < np.finfo(np.float16).max
    assert sum(LUMA) == 1


def test_its_first_output_are_the_probabilities(exported: Exported, images: Pixels) -> None:
    session = onnxruntime.InferenceSession(exported("onnx", "fp32", EMBED).path)
    assert [given.name for given in session.get_outputs()] == ["probabilities", "logits"]
    probabilities, logits = session.run(None, {"images": images})
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, shares, atol=1e-5)
    compiled = core().compile_model(read_model(exported("openvino", "fp32", EMBED).path), "CPU")
    assert [given.any_name for given in compiled.outputs] == ["probabilities", "logits"]
    np.testing.assert_allclose(compiled([images])[0], shares, atol=1e-4)


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_a_file_that_is_not_what_it_is_called_is_refused(
    registry: Registry, exported: Exported, format_name: str
) -> None:
    model = replace(exported(format_name, "fp32"), interface=EMBED)
    runtime = {"onnx": "onnxruntime"}.get(format_name, format_name)
    with pytest.raises(ModelFileError, match="its contract"):
        registry.runtimes[runtime].open(model, RuntimeOptions(threads=1))


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_the_example_runs_where_there_is_neither_torch_nor_cnnreg(
    registry: Registry,
    exported: Exported,
    contract: ModelContract,
    tmp_path: Path,
    format_name: str,
) -> None:
    model = exported(format_name, "fp32", EMBED)
    shutil.copytree(model.path.parent, tmp_path, dirs_exist_ok=True)
    picture = Image.fromarray(
        np.random.default_rng(3).integers(0, 256, (50, 60, 3), np.uint8), "RGB"
    )
    picture.save(tmp_path / "picture.jpg", quality=95)
    code = registry.exporters[format_name].example.replace("{model}", repr(model.path.name))
    assert len(code.splitlines()) == 5
    blocked = "import sys; sys.modules.update(dict.fromkeys(('torch', 'cnnreg', 'cnnreg_export')))"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", f"{blocked}\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    runtime = {"onnx": "onnxruntime"}.get(format_name, format_name)
    session = registry.runtimes[runtime].open(model, RuntimeOptions(threads=1))
    with Image.open(tmp_path / "picture.jpg") as opened:
        pixels = fit(opened.convert("RGB"), *contract.input_shape[1:], contract.resize)
    wanted = contract.classes[int(session.infer(session.prepare(pixels[None])).argmax())]
    assert done.stdout.strip() == wanted
