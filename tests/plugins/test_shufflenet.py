"""The shuffle of ShuffleNet v1 is the one of its figure 1."""

import torch
from torch.nn.functional import channel_shuffle

from cnnreg_plugins.shufflenet.model import shuffle


def test_each_group_is_dealt_out_over_all_groups() -> None:
    channels = torch.arange(9.0).view(1, 9, 1, 1)
    assert shuffle(channels).flatten().tolist() == [0, 3, 6, 1, 4, 7, 2, 5, 8]


def test_shuffle_is_torchs() -> None:
    images = torch.randn(2, 12, 5, 4).to(memory_format=torch.channels_last)
    assert torch.equal(shuffle(images), channel_shuffle(images, 3))
