"""What is kept from one file of a network to the next."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from cnnreg.specs import Interface
from cnnreg_export.formats import capture

WAYS = [
    ("fp32", Interface()),
    ("fp32", Interface(embed=True, fixed=True)),
    ("fp16", Interface(embed=True)),
    ("int8", Interface(fixed=True)),
]


def written(path):
    """Its bytes; OpenVINO numbers its models and nodes as long as a process runs."""
    files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    return {name: re.sub(rb"(Model|_)\d+", b"", held) for name, held in files.items()}


@pytest.mark.parametrize("name", [pytest.param("onnx", marks=pytest.mark.slow), "openvino"])
def test_files_before_it_change_nothing_in_a_file(
    registry, network, request_for, name, tmp_path, monkeypatch
):
    captures = []
    export = torch.export.export
    monkeypatch.setattr(
        torch.export, "export", lambda *args, **kw: captures.append(args) or export(*args, **kw)
    )
    write, kept = registry.exporters[name].write, {}

    def request(precision, interface, folder, **more):
        (tmp_path / folder).mkdir(exist_ok=True)
        whole = request_for(network, precision)
        return replace(whole, interface=interface, folder=tmp_path / folder, **more)

    for number, way in enumerate(WAYS):
        write(request(*way, f"{number}", kept=kept))
    assert sum(args[0] is network for args in captures) == 1
    for precision, interface in (WAYS[0], WAYS[-1]):  # what comes first is written once more, last
        again = written(write(request(precision, interface, f"again-{precision}", kept=kept)))
        alone = written(write(request(precision, interface, f"alone-{precision}")))
        assert again == alone


def test_a_network_of_other_weights_is_made_anew(request_for, network):
    made = capture.kept(request_for(network), "test", lambda: 1)
    assert capture.kept(request_for(network), "test", lambda: made + 1) == 2
