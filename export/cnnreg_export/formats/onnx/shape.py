"""What a finished ONNX network takes and gives: made self-contained, made for one image."""

from __future__ import annotations

import onnx_ir as ir

from cnnreg_export.formats import PROBABILITIES

PREPARED = "prepared"  # the network's own input, once preprocessing stands before it
FRONT = "preprocess/"  # before the names of all that preprocessing is made of


def embed(front: ir.Model, network: ir.Model) -> None:
    """Put `front` before the network and a softmax behind it; its logits stay an output."""
    graph = network.graph
    (taken,), (prepared,) = graph.inputs, front.graph.outputs
    _rename(front.graph)
    ir.convenience.replace_all_uses_with(taken, prepared)
    values = list(front.graph.initializers.values())
    nodes, inputs = list(front.graph), list(front.graph.inputs)
    front.graph.outputs.clear()
    front.graph.inputs.clear()
    front.graph.initializers.clear()
    front.graph.remove(nodes)
    graph.inputs[0] = inputs[0]
    for value in values:
        graph.register_initializer(value)
    graph.insert_before(graph[0], nodes)
    (logits,) = graph.outputs
    softmax = ir.node("Softmax", [logits], attributes={"axis": 1}, name="softmax")
    probabilities = softmax.outputs[0]
    probabilities.name, probabilities.shape = PROBABILITIES, logits.shape
    probabilities.type = logits.type
    graph.append(softmax)
    graph.outputs.insert(0, probabilities)
    for domain, version in front.opset_imports.items():
        network.opset_imports.setdefault(domain, version)


def fix_batch(model: ir.Model) -> None:
    """One image at a time: whatever is called `batch` is 1."""
    graph = model.graph
    values = [value for node in graph for value in node.outputs]
    for value in (*graph.inputs, *graph.outputs, *values):
        if value.shape is not None:
            value.shape = ir.Shape([1 if str(size) == "batch" else size for size in value.shape])


def _rename(graph: ir.Graph) -> None:
    """Names that the network cannot have, but for the input, which becomes the whole's."""
    for node in graph:
        node.name = f"{FRONT}{node.name}"
        for value in node.outputs:
            value.name = f"{FRONT}{value.name}"
    for value in list(graph.initializers.values()):
        value.name = f"{FRONT}{value.name}"
