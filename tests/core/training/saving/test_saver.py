"""What a run's folder receives as it is trained."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cnnreg.errors import MachineError
from cnnreg.training.saving import saver
from cnnreg.training.saving.saver import DRAW_INTERVAL, Saver


@pytest.mark.parametrize(("wait", "pictures"), [(0.1, 3600 / DRAW_INTERVAL), (60.0, 3)])
def test_a_picture_that_a_viewer_holds_open_does_not_hold_the_training(monkeypatch, wait, pictures):
    now, drawn = [0.0], []

    def draw_curves(*arguments):
        now[0] += wait
        drawn.append(now[0])
        if wait > 1:
            raise MachineError("Cannot write: Access is denied.")

    monkeypatch.setattr(saver, "monotonic", lambda: now[0])
    monkeypatch.setattr(saver, "draw_curves", draw_curves)
    monkeypatch.setattr(saver, "write_metrics", lambda folder, history: None)
    monkeypatch.setattr(Saver, "save", lambda self: None)
    monkeypatch.setattr(Saver, "_refuse_broken_weights", lambda self: None)
    run = SimpleNamespace(name="run", folder=None, curves=None)
    made = Saver(run, None, SimpleNamespace(history=[]), made_with={})
    while now[0] < 3600:
        now[0] += 1.0  # an epoch
        made.save_epoch(SimpleNamespace(best=False))
    assert len(drawn) == pytest.approx(pictures, rel=0.1)
