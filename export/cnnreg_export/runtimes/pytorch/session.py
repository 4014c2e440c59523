"""A checkpoint run by PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnreg import ModelFile, RuntimeOptions
from cnnreg.images import normalise
from cnnreg.networks.inference import FastNetwork
from cnnreg.training.saving.checkpoint import load_model
from cnnreg_export.runtimes.devices import only_processor

if TYPE_CHECKING:
    from cnnreg.specs import Logits, Pixels

HINT = (
    "Other devices, those of `cnnreg doctor`, need an OpenVINO export: "
    "cnnreg export RUN --openvino, then name that export."
)


class PyTorchSession:
    """Raises MachineError for another device, ModelFileError for a damaged checkpoint."""

    def __init__(self, model: ModelFile, options: RuntimeOptions) -> None:
        assert model.architecture is not None, "a checkpoint comes with its architecture"
        self.device = only_processor(options.device, "PyTorch", HINT)
        self.contract = model.contract
        if options.threads is not None:
            torch.set_num_threads(options.threads)  # of the whole process: torch has no other
        # As fast as it can be: what it takes is what others' speed is measured by.
        self.network = FastNetwork(load_model(model.path, model.architecture))

    def prepare(self, images: Pixels) -> Tensor:
        return torch.from_numpy(normalise(images, self.contract.mean, self.contract.std))

    def infer(self, inputs: Tensor) -> Logits:
        logits: Logits = self.network(inputs).numpy()
        return logits

    def describe(self) -> Mapping[str, str]:
        return {
            "device": self.device,
            "threads": str(torch.get_num_threads()),
            "float precision": "f32",
        }
