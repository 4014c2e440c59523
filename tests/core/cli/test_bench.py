"""`cnnreg bench`: what it prints, keeps and ends with."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import click
import pytest

from cnnreg.errors import MachineError
from cnnreg.machine.environment import environment
from cnnreg.timing.bench import BenchResult
from cnnreg.timing.race import Race
from helpers import cli, contract, set_terminal

RESULT = BenchResult(
    label="[/] PyTorch fp32",
    model="best.safetensors",
    sha256="5ha",
    runtime="pytorch",
    format="checkpoint",
    precision="fp32",
    device="CPU",
    settings={},
    batch=1,
    calls=5,
    mean=1.0,
    p50=1.0,
    p90=1.1,
    p99=1.2,
    round_medians=(1.0,),
    images_per_second=1000.0,
    speedup=1.0,
    speedup_range=(1.0, 1.0),
    first_call=1.0,
    load_seconds=0.1,
    warnings=("p99 rests on 5 calls",),
)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The command, about a race that has been run."""

    def bench(*arguments, results=(RESULT,), failure=None, warnings=(), **machine):
        raced = Race(
            contract=contract(),
            threads=2,
            results=list(results),
            fastest=None,
            environment={**environment(), "processor": "i5", "load": None, **machine},
            devices={"CPU": "i5", "GPU.0": "Iris [Xe], driver 31.0"},
            warnings=warnings,
            failure=failure,
        )
        monkeypatch.setattr("cnnreg.cli.bench.race", lambda *args, **options: raced)
        return cli("bench", tmp_path, "--output", tmp_path, *arguments)

    return bench


def kept(tmp_path: Path):
    return json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))


def test_a_run_may_be_called_anything_and_the_load_and_power_be_unknown(bench):
    code, out, _ = bench(power=None)
    assert code == 0
    assert "[/] PyTorch fp32: p99 rests on 5 calls" in out
    assert "load" not in out
    assert "i5, " in out
    assert "mains" not in out
    assert "battery" not in out


def test_what_decides_a_laptops_figures_is_beside_them(bench, tmp_path):
    code, out, _ = bench(power="battery", warnings=("on battery: slower",))
    assert code == 0
    assert "\non battery: slower\n" in out
    assert "i5, on battery, " in out
    assert "GPU.0: Iris [Xe], driver 31.0\n" in out
    assert "CPU: i5" not in out
    report = kept(tmp_path)
    assert report["devices"] == {"CPU": "i5", "GPU.0": "Iris [Xe], driver 31.0"}
    assert report["warnings"] == ["on battery: slower"]
    assert report["created"][:2] == "20"
    assert report["results"][0]["sha256"] == "5ha"


def test_a_named_device_that_failed_in_use_costs_only_its_own_figures(bench, tmp_path):
    code, out, err = bench(failure=MachineError("The driver was reset.", hint="Try again."))
    assert code == 5
    assert "PyTorch fp32" in out
    assert "error: The driver was reset." in err
    assert kept(tmp_path)["results"]


def test_that_is_one_document_all_the_same(bench, tmp_path):
    code, out, err = bench("--json", failure=MachineError("The driver was reset."))
    assert code == 5
    assert json.loads(out) == kept(tmp_path)
    assert "note: The driver was reset." in err


def test_a_stop_while_it_is_kept_is_the_one_document(bench, monkeypatch):
    def stop(*arguments):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("cnnreg.cli.bench.write_json", stop)
    code, out, _ = bench("--json")
    assert (code, json.loads(out)["error"]["code"]) == (130, "stopped")


def test_a_report_that_cannot_be_kept_is_shown_all_the_same(bench, monkeypatch):
    def full(*arguments):
        raise MachineError("The disk is full.", where="there")

    monkeypatch.setattr("cnnreg.cli.bench.write_json", full)
    code, out, err = bench("--json")
    assert (code, "results" in json.loads(out)) == (5, True)
    assert "note: The report was not kept: The disk is full. [there]" in err


SLOW = replace(
    RESULT,
    label="20260301-101112 PyTorch fp32",
    p50=123.456,
    p90=1234.567,
    p99=23456.789,
    images_per_second=12345.0,
)
FAST = replace(SLOW, label="OpenVINO int8", speedup=357.25, speedup_range=(340.12, 1360.5))


@pytest.mark.parametrize("columns", [80, 40, 10])
@pytest.mark.parametrize("piped", [False, True], ids=["terminal", "pipe"])
def test_every_figure_is_whole_whatever_the_width(bench, monkeypatch, columns, piped):
    set_terminal(monkeypatch, columns)
    if piped:
        monkeypatch.delenv("FORCE_COLOR")
    code, out, _ = bench(results=(SLOW, FAST))
    lines = click.unstyle(out).splitlines()
    figures = ["123.456", "1234.567", "23456.789", "12,345"]
    titles = ["engine", "p50", "p90", "p99", "images/s", "speed-up", "range", "calls"]
    assert (code, titles in [line.split() for line in lines]) == (0, True)
    rows = [line.split() for line in lines if "123.456" in line]
    assert rows[0][-7:] == [*figures, "1.00x", "1.00-1.00", "5"]
    assert rows[1][-7:] == [*figures, "357.25x", "340.12-1360.50", "5"]
    assert ("20260301-101112 PyTorch fp32  " in click.unstyle(out)) == piped


def test_what_the_speed_up_is_against_is_said_above_it(bench):
    _, out, _ = bench(results=(SLOW, FAST))
    assert out.splitlines()[0].endswith(", speed-up against 20260301-101112 PyTorch fp32")
