"""How `cnnreg bench` shows what was measured."""

from __future__ import annotations

from types import SimpleNamespace

from cnnreg.cli.bench import show
from cnnreg.machine.environment import environment
from cnnreg.timing.race import Race
from helpers import contract


def test_a_run_may_be_called_anything_and_the_load_be_unknown(capsys):
    result = SimpleNamespace(
        label="[/] PyTorch fp32",
        batch=1,
        p50=1.0,
        p90=1.1,
        p99=1.2,
        images_per_second=1000.0,
        speedup=1.0,
        speedup_range=(1.0, 1.0),
        calls=5,
        warnings=("p99 rests on 5 calls",),
    )
    show(Race(contract(), 2, [result], None, {**environment(), "load": None}))
    out = capsys.readouterr().out
    assert "[/] PyTorch fp32: p99 rests on 5 calls" in out
    assert "load" not in out
