"""torchvision's weights: read from the cache only if they are what was published."""

from __future__ import annotations

from hashlib import sha256

import pytest
import torch
import torchvision

from cnnreg.errors import MachineError
from cnnreg_plugins.pretrained import published


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts tensors where torch keeps what it downloaded; returns their file."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()

    def put(tensors):
        file = tmp_path / "checkpoints" / "weights.pth"
        torch.save(tensors, file)
        digest = sha256(file.read_bytes()).hexdigest()
        file = file.rename(file.with_name(f"net_x0.5-{digest[:8]}.pth"))

        class Weights:
            url = f"https://nowhere.invalid/models/{file.name}"

            def get_state_dict(self, **options):
                return torch.hub.load_state_dict_from_url(self.url, **options)

        monkeypatch.setattr(torchvision.models, "get_weight", lambda name: Weights())
        return file

    return put


def test_a_cached_file_is_read(cached):
    cached({"weight": torch.ones(2)})
    assert published("Net_Weights.V1")()["weight"].tolist() == [1, 1]


def test_a_cached_file_that_is_another_is_not_opened(cached, monkeypatch):
    file = cached({"weight": torch.ones(2)})
    torch.save({"weight": torch.zeros(2)}, file)
    monkeypatch.setattr(torch, "load", lambda *args, **options: pytest.fail("it was opened"))
    with pytest.raises(MachineError, match=r"sha256 differs.*Delete the file") as caught:
        published("Net_Weights.V1")()
    assert (caught.value.exit_code, caught.value.where) == (5, str(file))
