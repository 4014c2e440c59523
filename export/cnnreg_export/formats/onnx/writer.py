"""Writing model.onnx from a captured network."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from onnxruntime.transformers.float16 import convert_float_to_float16

import cnnreg
from cnnreg import ExportRequest
from cnnreg_export.formats import INPUT, OUTPUT
from cnnreg_export.formats.capture import (
    BATCH,
    PICTURES,
    capture_preprocessing,
    captured,
    kept,
    translation,
)
from cnnreg_export.formats.quantise import quantise
from cnnreg_export.quiet import quiet

from .shape import PREPARED, embed, fix_batch

OPSET = 18  # what torch.onnx implements natively; read by every runtime since 2023
IR_VERSION = 8  # of the same release; with a later one, runtimes before 2024 refuse the file
MAX_FILE_BYTES = 2**31 - 2**20  # protobuf ends at 2 GiB; the graph around the weights is small


def write_onnx(request: ExportRequest) -> Path:
    """Write model.onnx, and model.onnx.data beside it if the weights exceed 2 GiB."""
    path = request.folder / "model.onnx"
    with quiet():
        program = captured(request)
        with translation(program, "ONNX"):
            network = kept(request, "onnx", lambda: _translate(program, (INPUT, OUTPUT), BATCH))
            model = _in_precision(network.clone(), request)
            if request.interface.embed:
                resize = not request.interface.fixed
                front = capture_preprocessing(request.contract, resize=resize)
                names = (INPUT, PREPARED)
                embed(_translate(front, names, PICTURES if resize else BATCH), model)
            if request.interface.fixed:
                fix_batch(model)
            model.ir_version = IR_VERSION
            model.producer_name, model.producer_version = "cnnreg", cnnreg.__version__
            model.metadata_props.update(request.metadata)
            too_large = _weight_bytes(model) > MAX_FILE_BYTES
            ir.save(model, path, external_data=f"{path.name}.data" if too_large else None)
            onnx.checker.check_model(path, full_check=True)
    return path


def _translate(
    program: torch.export.ExportedProgram, names: tuple[str, str], free: dict[int, str]
) -> ir.Model:
    exported = torch.onnx.export(
        program,
        dynamo=True,
        input_names=[names[0]],
        output_names=[names[1]],
        dynamic_shapes=(free,),
        opset_version=OPSET,
        verbose=False,
    )
    assert exported is not None, "dynamo=True returns a program"
    return _without_traces(exported.model)


def _without_traces(model: ir.Model) -> ir.Model:
    """Drop the stack traces of every node: they hold the folders of this machine."""
    ClearMetadataAndDocStringPass()(model)
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    return model


def _weight_bytes(model: ir.Model) -> int:
    tensors = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _in_precision(model: ir.Model, request: ExportRequest) -> ir.Model:
    if request.precision == "fp16":
        half: ir.Model = ir.from_proto(
            convert_float_to_float16(ir.to_proto(model), keep_io_types=True)
        )
        half.graph.sort()  # the converter appends the casts of the input at the end
        return half
    if request.precision == "int8":
        layers = _operators_by_layer(model)
        quantised: ir.Model = ir.from_proto(quantise(ir.to_proto(model), request, layers))
        return quantised
    return model


def _operators_by_layer(model: ir.Model) -> dict[str, list[str]]:
    """Names of the operators that each layer became: weights are still called after it."""
    found = dict[str, list[str]]()
    for node in model.graph:
        if node.op_type in {"Conv", "Gemm", "MatMul"} and node.inputs[1] is not None:
            layer, _, parameter = str(node.inputs[1].name).rpartition(".")
            if parameter == "weight":
                found.setdefault(layer, []).append(str(node.name))
    return found
