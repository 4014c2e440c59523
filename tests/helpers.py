"""Small things that several tests build on."""

from __future__ import annotations

from typing import Any

from cnnreg.specs import ModelContract


def contract(**changes: Any) -> ModelContract:
    """A contract for 8x8 grey images of three classes, with changes."""
    fields: dict[str, Any] = {
        "architecture": "mlp",
        "plugin": "cnn-registry 0.1.0",
        "num_classes": 3,
        "input_shape": (1, 8, 8),
        "form": "standard",
        "dropout": None,
        "classes": ("a", "b", "c"),
        "mean": (0.5,),
        "std": (0.25,),
        "resize": "squash",
        "dataset": "digits",
    }
    return ModelContract(**{**fields, **changes})
