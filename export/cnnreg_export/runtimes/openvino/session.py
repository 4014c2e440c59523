"""An IR or ONNX model run by OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from cnnreg import MachineError, ModelFile, ModelFileError, RuntimeOptions
from cnnreg.errors import one_line
from cnnreg.files import file_digest
from cnnreg.machine.devices import kind_of
from cnnreg_export.formats import WEIGHTS
from cnnreg_export.runtimes.devices import checked_device
from cnnreg_export.runtimes.image_input import ImageInput

from .compiling import compile_model, settings, was_loaded
from .hardware import core, ov

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnreg.specs import Logits

CURE = "Export the run again."
ELSEWHERE = "Try --device CPU."


class OpenVINOSession(ImageInput):
    """Raises MachineError for a missing device, ModelFileError for a damaged file."""

    def __init__(self, model: ModelFile, options: RuntimeOptions) -> None:
        super().__init__(model)
        self.device = device = checked_device(options.device, core().available_devices)
        batch = options.batch
        if batch is None and kind_of(device) != "CPU":
            # Compiled for one image of one size: shapes left open cost a GPU its speed.
            batch, self.one_by_one = 1, True
        network = read_model(model.path)
        self.check_fit(model.path, _shapes(network.inputs), _shapes(network.outputs))
        if batch is not None and not self.interface.fixed:
            network.reshape(self.fixed_shape(batch))
        chosen = settings(device, model.precision, options.threads)
        try:
            self.compiled = compile_model(network, device, chosen, model.path, options.note)
            self.request = self.compiled.create_infer_request()  # takes the device's memory
        except Exception as error:
            raise MachineError(
                f"OpenVINO cannot run this model on {device}: {one_line(error)}.",
                where=model.path,
                hint=CURE if kind_of(device) == "CPU" else ELSEWHERE,
            ) from error
        self.last = len(self.compiled.outputs) - 1
        self.one_at_a_time = Lock()

    def run(self, inputs: NDArray[Any]) -> Logits:
        return self._inferred(inputs, self.last)

    def probabilities(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Of a self-contained model [N, classes]."""
        return self._inferred(inputs, 0)

    def _inferred(self, inputs: NDArray[Any], output: int) -> NDArray[np.float32]:
        """Raises MachineError where a device fails in use, as one does whose driver restarts."""
        try:
            with self.one_at_a_time:  # the answer lies in the engine's own memory
                self.request.infer([inputs], share_inputs=True)
                found: NDArray[np.float32] = self.request.get_output_tensor(output).data.copy()
        except RuntimeError as error:
            if kind_of(self.device) == "CPU":
                raise  # nothing here can be lost: it is the network that cannot be run
            raise MachineError(
                f"{self.device} failed: {one_line(error)}.", hint=ELSEWHERE
            ) from error
        return found

    def describe(self) -> Mapping[str, str]:
        """Read back from the compiled model, not repeated from what was asked for."""
        names = {
            "device": "EXECUTION_DEVICES",
            "threads": "INFERENCE_NUM_THREADS",
            "pinning": "ENABLE_CPU_PINNING",
            "hyper-threading": "ENABLE_HYPER_THREADING",
            "float precision": "INFERENCE_PRECISION_HINT",  # not that of layers in int8
            "streams": "NUM_STREAMS",
        }
        supported = self.compiled.get_property("SUPPORTED_PROPERTIES")
        told = {
            name: _text(self.compiled.get_property(key))
            for name, key in names.items()
            if key in supported
        }
        return told | {"from cache": _text(was_loaded(self.compiled))}


def read_model(path: Path) -> Any:
    """Raises ModelFileError."""
    try:
        network = _read_ir(path) if path.suffix == ".xml" else _read_onnx(path)
    except OSError as error:
        where = error.filename or path
        raise ModelFileError(f"Cannot read: {error.strerror}.", where=where, hint=CURE) from error
    except Exception as error:
        raise ModelFileError(
            f"OpenVINO cannot read this model: {one_line(error)}.", where=path, hint=CURE
        ) from error
    if not network.outputs:
        raise ModelFileError("The file holds no network.", where=path, hint=CURE)
    return network


def _read_ir(path: Path) -> Any:
    # From memory: OpenVINO's own file reading trips over non-ASCII paths on Windows.
    return core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def _read_onnx(path: Path) -> Any:
    # By name: given just a path, OpenVINO would try its readers of other formats too.
    reader = ov.frontend.FrontEndManager().load_by_framework("onnx")
    # From memory, as above, unless there are weights beside it to be found.
    named = str(path).isascii() or path.with_name(f"{path.name}.data").exists()
    return reader.convert(reader.load(path if named else BytesIO(path.read_bytes())))


def stored_metadata(path: Path) -> Mapping[str, str]:
    """The texts in an IR's rt_info or an ONNX file's metadata_props. Raises ModelFileError."""
    information = read_model(path).rt_info
    root = "cnnreg" if path.suffix == ".xml" else "framework"
    texts = {key: text.astype(str) for key, text in dict(information).get(root, {}).items()}
    _refuse_other_weights(path.with_suffix(".bin"), texts.pop(WEIGHTS, ""))
    return texts


def _refuse_other_weights(path: Path, digest: str) -> None:
    """Two files that are moved one by one may become those of two models."""
    if digest and file_digest(path) != digest:
        raise ModelFileError(
            "These are not the weights that were written with the .xml file beside them.",
            where=path,
            hint=f"Fetch the one that was, or: {CURE}",
        )


def _shapes(ports: list[Any]) -> list[list[int]]:
    """Sizes of each port, 0 where any size will do."""
    return [
        [0 if size.is_dynamic else size.get_length() for size in p.partial_shape] for p in ports
    ]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.get_type_name() if isinstance(value, ov.Type) else str(value)
