from __future__ import annotations

import torch
from torch import nn

from cnnreg_export.formats.capture import capture
from cnnreg_export.formats.openvino.layers import operators_by_layer
from cnnreg_export.quiet import quiet
from cnnreg_export.runtimes.openvino.session import ov


def test_every_layer_is_found_where_batch_norm_was_folded_into_it(network: nn.Module) -> None:
    with quiet():
        model = ov.convert_model(capture(network, (3, 16, 24)))
    found = operators_by_layer(model, network)
    assert found.keys() == {"stem.0", "branch.0", "last.0", "classifier"}
    kinds = {op.get_friendly_name(): op.get_type_name() for op in model.get_ordered_ops()}
    assert [kinds[name] for layer in ("stem.0", "branch.0") for name in found[layer]] == [
        "Convolution",
        "GroupConvolution",
    ]


def test_grouped_convolutions_are_found() -> None:
    """OpenVINO holds their weights by group: [groups, outputs / groups, inputs / groups, ...]."""
    torch.manual_seed(0)
    grouped = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8))
    with quiet():
        model = ov.convert_model(capture(grouped.eval(), (4, 16, 24)))
    found = operators_by_layer(model, grouped)
    assert sorted(found) == ["0", "2"]
    assert len(found["0"]) == len(found["2"]) == 1
