"""Learning curves, whatever the run is called."""

from __future__ import annotations

from cnnreg.pictures.curves import draw_curves


def test_curves_of_no_epoch_can_be_drawn(tmp_path):
    draw_curves([], "nothing yet $ \ue123", tmp_path / "curves.png", formats=("png",))
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
