"""The picture of a benchmark."""

from __future__ import annotations

from types import SimpleNamespace

from cnnreg.pictures.latencies import draw_latencies


def test_runs_may_be_called_anything(tmp_path):
    names = ("$x_{$", "犬", "\ue123", "[/]")  # a formula, another script, no letter at all
    results = [
        SimpleNamespace(label=f"{name} fp32", p50=1.0, p90=1.2, speedup=1.0, batch=1)
        for name in names
    ]
    draw_latencies(
        results, "$net", ["CPU\x00, on battery", "GPU.0: Iris 犬"], tmp_path / "bench.png"
    )
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
