"""Which operators of an OpenVINO model the network's layers became.

The file itself does not say: a batch norm folded into a convolution leaves a name like
`Multiply_11827`. But each tensor bears the name of the graph's node it comes from, and
that node knows its layer.
"""

from __future__ import annotations

from typing import Any

from torch.fx import GraphModule, Node

KINDS = ("Convolution", "GroupConvolution", "MatMul")
CALLS = ("aten.convolution.", "aten.conv2d.", "aten.linear.", "aten.addmm.", "aten.mm.")


def operators_by_layer(model: Any, graph: GraphModule) -> dict[str, list[str]]:
    """Names of the operators that each convolution and linear layer became."""
    nodes = {node.name: node for node in graph.graph.nodes}
    found = dict[str, list[str]]()
    for operator in model.get_ordered_ops():
        if operator.get_type_name() in KINDS:
            tensors = {name.removesuffix(":0") for name in operator.output(0).get_names()}
            name = operator.get_friendly_name()
            for origin in sorted({name.partition("/")[0], *tensors} & nodes.keys()):
                if layer := _layer_of(nodes[origin]):
                    found.setdefault(layer, []).append(name)
                    break
    return found


def _layer_of(node: Node) -> str | None:
    """Of the convolution or product that `node` is, or whose batch norm it is."""
    while not any(call in str(node.target) for call in CALLS):
        if not node.all_input_nodes:
            return None
        node = node.all_input_nodes[0]
    *_, (layer, _) = node.meta["nn_module_stack"].values()
    return str(layer).partition("@")[0]  # what follows counts the calls of a layer used twice
