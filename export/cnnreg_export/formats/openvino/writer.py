"""Writing model.xml and model.bin from a captured network."""

from __future__ import annotations

from pathlib import Path
from shutil import disk_usage
from typing import Any

from cnnreg import ExportRequest, MachineError
from cnnreg.files import file_digest
from cnnreg_export.formats import INPUT, OUTPUT, PROBABILITIES, WEIGHTS
from cnnreg_export.formats.capture import capture_preprocessing, captured, kept, translation
from cnnreg_export.formats.quantise import quantise
from cnnreg_export.quiet import quiet
from cnnreg_export.untracked import untracked

from .layers import operators_by_layer
from .model_info import model_info

ov = untracked("openvino")

METADATA_ROOT = "cnnreg"
UNKNOWN = "0" * 64  # the digest of weights that are not written yet


def write_openvino(request: ExportRequest) -> Path:
    path = request.folder / "model.xml"
    shape, interface = request.contract.input_shape, request.interface
    with quiet():
        program = captured(request)
        with translation(program, "OpenVINO"):
            model = kept(request, "openvino", lambda: ov.convert_model(program)).clone()
            _declare(model, [-1, *shape], "NCHW")
            if request.precision == "int8":
                layers = operators_by_layer(model, request.model)
                model = quantise(model, request, layers)
            if request.precision == "fp16":
                model = _halved(model, path)
            if interface.embed:
                model = _self_contained(model, request)
            if interface.fixed:
                model.reshape([1, *shape[1:], 3] if interface.embed else [1, *shape])
            for key, text in request.metadata.items():
                model.set_rt_info(text, [METADATA_ROOT, key])
            for key, text in model_info(request.contract, interface).items():
                model.set_rt_info(text, ["model_info", key])
            model.set_rt_info(UNKNOWN, [METADATA_ROOT, WEIGHTS])
            _save(model, path)
            digest = file_digest(path.with_suffix(".bin"))
            path.write_bytes(path.read_bytes().replace(UNKNOWN.encode(), digest.encode()))
    return path


def _halved(network: Any, path: Path) -> Any:
    """With its weights in 16 bits. Before anything stands in front of it: there, in the places
    of pixels, 16 bits end at 1024.
    """
    _save(network, path, half=True)
    return ov.Core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def _save(model: Any, path: Path, *, half: bool = False) -> None:
    """Raises MachineError if there is no room for the files."""
    try:
        # save_model compresses to fp16 unless told not to.
        ov.save_model(model, path, compress_to_fp16=half)
    except RuntimeError as error:
        if "iostream" not in str(error):
            raise
        free = disk_usage(path.parent).free
        raise MachineError(
            f"OpenVINO could not write its files whole: {free / 1e6:.1f} MB free.",
            where=path.parent.parent,
            hint="Free some, or go elsewhere with --output.",
        ) from error


def _declare(model: Any, shape: list[int], layout: str) -> None:
    """Name, shape and layout of the one input, and the name of the last output."""
    model.reshape(ov.PartialShape(shape))
    parameter = model.input().get_node()
    parameter.set_friendly_name(INPUT)
    parameter.set_layout(ov.Layout(layout))
    model.input().get_tensor().set_names({INPUT})
    model.outputs[-1].get_tensor().set_names({OUTPUT})
    model.validate_nodes_and_infer_types()


def _self_contained(network: Any, request: ExportRequest) -> Any:
    """Preprocessing before the network, softmax behind it; its logits stay an output."""
    front = ov.convert_model(
        capture_preprocessing(request.contract, resize=not request.interface.fixed)
    )
    prepared = front.output().get_node().input_value(0)
    for reader in network.input().get_target_inputs():
        reader.replace_source_output(prepared)
    logits = network.output().get_node().input_value(0)
    probabilities = ov.opset13.softmax(logits, axis=1)
    probabilities.output(0).get_tensor().set_names({PROBABILITIES})
    whole = ov.Model([probabilities.output(0), logits], front.get_parameters(), "cnnreg")
    _, height, width = request.contract.input_shape
    sides = [height, width] if request.interface.fixed else [-1, -1]
    _declare(whole, [-1, *sides, 3], "NHWC")
    return whole
