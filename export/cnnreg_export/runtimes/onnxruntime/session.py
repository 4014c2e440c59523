"""An ONNX model run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnreg import ModelFile, ModelFileError, RuntimeOptions
from cnnreg.errors import one_line
from cnnreg.machine.environment import threads_to_ask_for
from cnnreg_export.runtimes.devices import only_processor
from cnnreg_export.runtimes.image_input import ImageInput
from cnnreg_export.untracked import untracked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnreg.specs import Logits

ort = untracked("onnxruntime")

HINT = (
    "Other devices, those of `cnnreg doctor`, need OpenVINO: --runtime openvino, or "
    "cnnreg export RUN --openvino."
)
FATAL_ONLY = 4  # errors come as exceptions; a log line would tell them twice


class OnnxRuntimeSession(ImageInput):
    """Raises MachineError for another device, ModelFileError for a damaged file."""

    def __init__(self, model: ModelFile, options: RuntimeOptions) -> None:
        super().__init__(model)
        self.device = only_processor(options.device, "ONNX Runtime", HINT)
        sizes = self._sizes(options.batch)
        self.engine = _open(model.path, options, sizes)
        inputs, outputs = self.engine.get_inputs(), self.engine.get_outputs()
        shapes = [i.shape for i in inputs], [o.shape for o in outputs]
        self.check_fit(model.path, *shapes, sized=bool(sizes))
        self.input, self.output = inputs[0].name, outputs[-1].name
        self.first = outputs[0].name

    def run(self, inputs: NDArray[Any]) -> Logits:
        logits: Logits = self.engine.run([self.output], {self.input: inputs})[0]
        return logits

    def probabilities(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Of a self-contained model [N, classes]."""
        shares: NDArray[np.float32] = self.engine.run([self.first], {self.input: inputs})[0]
        return shares

    def _sizes(self, batch: int | None) -> dict[str, int]:
        """Of the dimensions that the file leaves open and the options do not."""
        if batch is None or self.interface.fixed:
            return {}
        _, height, width = self.contract.input_shape
        return {"batch": batch, "height": height, "width": width}

    def describe(self) -> Mapping[str, str]:
        threads = self.engine.get_session_options().intra_op_num_threads
        return {
            "device": self.device,
            "threads": str(threads) if threads else "one per core",
        }


def stored_metadata(path: Path) -> Mapping[str, str]:
    """The texts in the file's metadata_props. Raises ModelFileError."""
    return dict(_open(path, RuntimeOptions(), {}).get_modelmeta().custom_metadata_map)


def _open(path: Path, options: RuntimeOptions, sizes: dict[str, int]) -> Any:
    settings = ort.SessionOptions()
    settings.log_severity_level = FATAL_ONLY
    settings.intra_op_num_threads = threads_to_ask_for(options.threads) or 0
    for name, size in sizes.items():
        settings.add_free_dimension_override_by_name(name, size)
    try:
        return ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelFileError(
            f"ONNX Runtime cannot read this model: {one_line(error)}.",
            where=path,
            hint="Export the run again.",
        ) from error
