"""Reading a model's contract and interface back from JSON: data is checked, never trusted."""

from __future__ import annotations

from typing import Any

from .specs import Interface, ModelContract


def contract_from_data(data: Any) -> ModelContract:
    """Raises ValueError, KeyError, TypeError or OverflowError for anything but a contract."""
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


def interface_from_data(data: Any) -> Interface:
    """Raises KeyError or TypeError for anything but an interface."""
    if not all(isinstance(data[name], bool) for name in ("embed", "fixed")):
        raise TypeError(f"expected true or false, not {data!r:.40}")
    return Interface(embed=data["embed"], fixed=data["fixed"])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {value!r:.40}")
    return value
