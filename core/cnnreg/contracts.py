"""Reading a model contract back from JSON: data is checked, never trusted."""

from __future__ import annotations

from typing import Any

from .specs import ModelContract


def contract_from_data(data: Any) -> ModelContract:
    """Raises ValueError, KeyError or TypeError for anything but a contract."""
    dropout = data["dropout"]
    channels, height, width = (int(size) for size in data["input_shape"])
    return ModelContract(
        architecture=_text(data["architecture"]),
        plugin=_text(data["plugin"]),
        num_classes=int(data["num_classes"]),
        input_shape=(channels, height, width),
        form=data["form"],
        dropout=None if dropout is None else float(dropout),
        classes=tuple(_text(name) for name in data["classes"]),
        mean=tuple(float(value) for value in data["mean"]),
        std=tuple(float(value) for value in data["std"]),
        resize=data["resize"],
        dataset=_text(data["dataset"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {value!r:.40}")
    return value
