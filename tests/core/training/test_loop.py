"""Evaluation: all images count alike, and the network is judged as it is used."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnreg.training.feeding.batches import Batch
from cnnreg.training.loop import evaluate
from cnnreg.training.stopping import StopRequest


def test_it_is_of_all_images_in_evaluation_mode():
    """Dropout is off, and batch norm takes what it has learned; a small last batch weighs less."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.9), nn.Linear(4, 3))
    images, labels = torch.randn(5, 4, 1, 1) + 3, torch.tensor([0, 1, 2, 0, 1])
    batches = [Batch(images[:4], labels[:4], total=4), Batch(images[4:], labels[4:], total=1)]
    found = evaluate(model.train(), batches, device=torch.device("cpu"), stop=StopRequest())
    logits = model.eval()(images)
    loss = functional.cross_entropy(logits, labels).item()
    right = (logits.argmax(1) == labels).float().mean().item()
    assert found == (pytest.approx(loss, rel=1e-5), pytest.approx(right), 5)
