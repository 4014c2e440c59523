"""What an exported file says of itself, to programs and to people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cnnreg.machine.environment import environment
from cnnreg.models import CONTRACT_KEY, INTERFACE_KEY, PRECISION_KEY, SPLIT_KEY
from cnnreg.specs import Interface, ModelContract, Precision, to_data


def describe(
    contract: ModelContract,
    precision: Precision,
    interface: Interface,
    split: Mapping[str, Any],
) -> dict[str, str]:
    """What is stored inside an exported file: the contract, and the same for human eyes.

    `split` is what decides which images were held out, so that it can be evaluated anywhere.
    No time of day: the same weights give the same file, and what was measured of it stays true.
    """
    takes, gives = in_words(contract, interface)
    return {
        CONTRACT_KEY: json.dumps(to_data(contract), ensure_ascii=False),
        PRECISION_KEY: precision,
        INTERFACE_KEY: json.dumps(to_data(interface)),
        SPLIT_KEY: json.dumps(to_data(split)),
        "labels": json.dumps(contract.classes, ensure_ascii=False),
        "input": takes,
        "mean": json.dumps(contract.mean),
        "std": json.dumps(contract.std),
        "resize": contract.resize,
        "output": gives,
        "versions": json.dumps(environment()["versions"]),
    }


def in_words(contract: ModelContract, interface: Interface) -> tuple[str, str]:
    """What a file takes and what it gives."""
    channels, height, width = contract.input_shape
    count = "1" if interface.fixed else "N"
    if interface.embed:
        sides = f"{height}, {width}" if interface.fixed else "height, width"
        return (
            f"uint8 [{count}, {sides}, 3] RGB, as an image file holds it",
            f"float32 probabilities [{count}, classes], then logits",
        )
    colours = "RGB" if channels == 3 else "grey" if channels == 1 else f"{channels} channels"
    return (
        f"float32 [{count}, {channels}, {height}, {width}] {colours}, (pixel/255 - mean)/std",
        f"float32 logits [{count}, classes]",
    )
