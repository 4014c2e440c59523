"""What a run's folder receives as it is trained."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cnnreg.errors import DivergedError, MachineError, StoppedError
from cnnreg.runs import open_run
from cnnreg.training.saving import saver
from cnnreg.training.saving.checkpoint import read_checkpoint
from cnnreg.training.saving.saver import DRAW_INTERVAL, Saver
from helpers import make_run, stop_at, train


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


def test_room_is_asked_for_as_much_as_is_written(registry, tmp_path, monkeypatch):
    """The best and the last, the one before and the one being written; less what is there."""
    asked = []
    monkeypatch.setattr(saver, "check_room", lambda folder, needed: asked.append(needed))
    run = make_run(registry, tmp_path / "run", optimizer="adam", ema=0.9)
    with pytest.raises(StoppedError):
        train(registry, run, on_step=stop_at(26))
    best, last, before = (path.stat().st_size for path in (run.best, run.last, run.previous))
    assert last + before + last + best <= asked[0] < 1.2 * (3 * last + 2 * best)
    train(registry, open_run(run.folder))
    assert asked[1] == asked[0] - (best + last + before)


def test_weights_that_broke_in_the_last_step_are_not_saved_on_stopping(
    registry, tmp_path, monkeypatch
):
    run = make_run(registry, tmp_path / "run")

    def broken(progress):
        if progress.step == 3:
            monkeypatch.setattr(saver, "is_finite", lambda tensor: False)
        stop_at(3)(progress)

    with pytest.raises(DivergedError, match="holds no numbers any more after step 3"):
        train(registry, run, on_step=broken)
    assert read_checkpoint(run.last).state["progress"]["step"] == 0
