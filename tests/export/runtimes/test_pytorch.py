from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from cnnreg import (
    ArchitectureSpec,
    MachineError,
    ModelContract,
    ModelFile,
    ModelFileError,
    Paper,
    RuntimeOptions,
)
from cnnreg.registry import Registry
from cnnreg.training.saving.checkpoint import Checkpoint, save_checkpoint

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels


@pytest.fixture
def checkpoint(contract: ModelContract, network: nn.Module, tmp_path: Path) -> ModelFile:
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, Checkpoint(contract=contract, model=network.state_dict()))
    architecture = ArchitectureSpec(
        name="tiny",
        family="tiny",
        summary="for tests",
        build=lambda options: type(network)(classes=options.num_classes),
        parameters=1,
        macs=1,
        paper=Paper(title="none", year=2026, url="https://example.org"),
        licence="Apache-2.0",
    )
    return ModelFile(
        path=path,
        format="checkpoint",
        precision="fp32",
        contract=contract,
        architecture=architecture,
    )


def test_a_checkpoint_answers_as_the_network_it_was_saved_from(
    registry: Registry, checkpoint: ModelFile, images: Pixels, expected: Logits
) -> None:
    session = registry.runtimes["pytorch"].open(checkpoint, RuntimeOptions(device="cpu"))
    logits = session.infer(session.prepare(images))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6)


def test_it_is_run_in_the_memory_layout_that_is_fast(
    registry: Registry, checkpoint: ModelFile, images: Pixels
) -> None:
    session = registry.runtimes["pytorch"].open(checkpoint, RuntimeOptions(device="cpu"))
    session.infer(session.prepare(images))
    network = session.network.network
    filters = [weight for weight in network.parameters() if weight.ndim == 4]
    assert filters
    assert all(of.is_contiguous(memory_format=torch.channels_last) for of in filters)


def test_threads_are_the_ones_asked_for(registry: Registry, checkpoint: ModelFile) -> None:
    before = torch.get_num_threads()
    try:
        session = registry.runtimes["pytorch"].open(checkpoint, RuntimeOptions(threads=1))
        assert session.describe() == {"device": "CPU", "threads": "1", "float precision": "f32"}
    finally:
        torch.set_num_threads(before)


def test_faults_are_told_in_the_words_of_the_house(
    registry: Registry, checkpoint: ModelFile
) -> None:
    runtime = registry.runtimes["pytorch"]
    with pytest.raises(MachineError, match=r"PyTorch runs on CPU only, not on NPU\. .* --openvino"):
        runtime.open(checkpoint, RuntimeOptions(device="npu"))
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-9])
    with pytest.raises(ModelFileError):
        runtime.open(checkpoint, RuntimeOptions())
