"""Preprocessing as a graph gives what Pillow and numpy give."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from cnnreg import ModelContract
from cnnreg.images import fit, inside, normalise
from cnnreg.specs import Resize
from cnnreg_export.formats.preprocess import Preprocess

SIDES = [(16, 24), (17, 24), (53, 71), (8, 9), (20, 300), (300, 5), (1, 1), (224, 224)]
"""Of pictures for a network that takes 16x24."""


@pytest.mark.parametrize("policy", get_args(Resize))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", SIDES)
def test_as_images_are_resized_and_normalised_everywhere_else(
    contract: ModelContract, policy: Resize, channels: int, sides: tuple[int, int]
) -> None:
    contract = replace(
        contract,
        input_shape=(channels, 16, 24),
        mean=contract.mean[:channels],
        std=contract.std[:channels],
        resize=policy,
    )
    pixels = np.random.default_rng(0).integers(0, 256, (*sides, 3), np.uint8)
    picture = Image.fromarray(pixels).convert("RGB" if channels == 3 else "L")
    wanted = normalise(fit(picture, 16, 24, policy)[None], contract.mean, contract.std)
    given = Preprocess(contract)(torch.from_numpy(pixels)[None]).numpy()
    levels = np.abs(given - wanted) * 255 * np.array(contract.std, np.float32)[:, None, None]
    # Where a value lies between two levels, Pillow's fixed-point numbers may round the other way.
    assert levels.max() < 1.01
    assert (levels > 0.5).mean() < 0.25
    if sides == (16, 24):
        assert levels.max() < 1e-3


@pytest.mark.parametrize("target", [28, 64, 224])
def test_letterboxes_of_all_sizes_are_alike(contract: ModelContract, target: int) -> None:
    """In float32, where half a row is half a row."""
    contract = replace(contract, input_shape=(3, target, target), resize="letterbox")
    sides = np.random.default_rng(0).integers(1, 5000, (4000, 2))
    halves = [(odd * m, 2 * target * m) for m in range(1, 20) for odd in range(1, 2 * target, 2)]
    sides = np.concatenate([sides, halves, np.flip(halves, 1), [(555, 1920), (107, 856)]])
    wanted = [inside((int(width), int(height)), target, target) for height, width in sides]
    height, width = torch.tensor(sides, dtype=torch.float32).T
    down, across = Preprocess(contract)._windows(height, width)
    given = torch.stack([torch.as_tensor(across.shown), torch.as_tensor(down.shown)], 1)
    np.testing.assert_array_equal(given.numpy(), wanted)


def test_without_resizing_a_picture_of_the_right_size_passes(contract: ModelContract) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), np.uint8)
    given = Preprocess(contract, resize=False)(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(
        given, normalise(pixels, contract.mean, contract.std), rtol=0, atol=1e-5
    )
