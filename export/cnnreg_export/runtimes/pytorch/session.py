"""A checkpoint run by PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnreg import ModelFile, RuntimeOptions
from cnnreg.errors import is_out_of_memory
from cnnreg.images import normalise
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
        network = load_model(model.path, model.architecture)
        # Processors convolve faster so, and what it takes is what others' speed is measured by.
        self.network = network.to(memory_format=torch.channels_last)
        self.layout = torch.channels_last

    def prepare(self, images: Pixels) -> Tensor:
        return torch.from_numpy(normalise(images, self.contract.mean, self.contract.std))

    @torch.inference_mode()
    def infer(self, inputs: Tensor) -> Logits:
        try:
            answer: Tensor = self.network(inputs)
        except RuntimeError as error:
            if self.layout == torch.contiguous_format or is_out_of_memory(error):
                raise
            self.layout = torch.contiguous_format  # it may take a view that cannot be taken so
            answer = self.network.to(memory_format=self.layout)(inputs)
        logits: Logits = answer.numpy()
        return logits

    def describe(self) -> Mapping[str, str]:
        return {
            "device": self.device,
            "threads": str(torch.get_num_threads()),
            "float precision": "f32",
        }
