"""The parameter-free shortcut (option A) of the CIFAR ResNets."""

import torch

from cnnreg_plugins.resnet_cifar.model import BasicBlock


def test_shortcut_takes_every_second_pixel_and_adds_empty_channels() -> None:
    block = BasicBlock(16, 32, stride=2)
    images = torch.randn(1, 16, 8, 8)
    short = block.shortcut(images)
    assert tuple(short.shape) == (1, 32, 4, 4)
    assert torch.equal(short[:, :16], images[:, :, ::2, ::2])
    assert not short[:, 16:].any()


def test_where_the_shape_stays_the_shortcut_is_the_input() -> None:
    images = torch.randn(1, 16, 8, 8)
    assert BasicBlock(16, 16, stride=1).shortcut(images) is images
