"""PyTorch, eager and in float32: the reference all exports are compared with."""

from __future__ import annotations

from cnnreg import ModelFile, RuntimeOptions, RuntimeSpec, Session, hookimpl
from cnnreg_export.runtimes.devices import processor


def open_session(model: ModelFile, options: RuntimeOptions) -> Session:
    from .session import PyTorchSession

    return PyTorchSession(model, options)


@hookimpl
def cnnreg_runtimes() -> list[RuntimeSpec]:
    return [
        RuntimeSpec(
            name="pytorch",
            title="PyTorch",
            formats=("checkpoint",),
            open=open_session,
            devices=processor,
            requires=("torch", "safetensors"),
            extra="train",
        )
    ]
