"""What decides the speed of this processor, from whoever tells."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from cnnreg.machine import environment
from cnnreg.machine.environment import has_bf16, has_vnni, instruction_sets


@pytest.fixture
def told_by_numpy(monkeypatch):
    """As on Windows, where there is no /proc/cpuinfo."""

    def tell(baseline, found):
        extensions = {"baseline": baseline, "found": found, "not found": ["AVX512_KNL"]}
        monkeypatch.setattr(environment, "_cpuinfo", lambda field: "")
        monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": extensions})
        return instruction_sets()

    return tell


@pytest.mark.parametrize(
    ("found", "isa"),
    [
        (["X86_V3"], ["avx2"]),
        (["X86_V3", "X86_V4", "AVX512_ICL"], ["avx2", "avx512f", "avx512_vnni"]),
        (["AVX2", "AVX512F", "AVX512_SKX", "AVX512_CLX"], ["avx2", "avx512f", "avx512_vnni"]),
        (["AVX512_SPR"], ["avx2", "avx512f", "avx512_vnni", "avx512_bf16"]),
        (["AVX2", "AVX512F", "AVX512CD", "AVX512_SKX"], ["avx2", "avx512f"]),
    ],
)
def test_numpys_groups_are_told_in_the_words_of_linux(told_by_numpy, found, isa):
    assert told_by_numpy(["SSE42"], found) == isa


def test_another_kind_of_processor_keeps_numpys_words(told_by_numpy):
    assert told_by_numpy(["NEON", "ASIMD"], ["ASIMDDP"]) == ["asimd", "asimddp", "neon"]


def broken(*arguments):
    raise RuntimeError("PdhAddEnglishCounterW failed. Performance counters may be disabled.")


def test_what_the_system_does_not_tell_is_unknown(monkeypatch):
    monkeypatch.setattr(psutil, "sensors_battery", broken, raising=False)
    monkeypatch.setattr(psutil, "getloadavg", broken)
    told = environment.environment()
    assert (told["load"], told["power"]) == (None, None)
    monkeypatch.setattr(psutil, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert environment.environment()["load"] == 0.0


def test_windows_tells_its_load_to_those_who_wait_for_it(monkeypatch):
    monkeypatch.setattr(environment, "WINDOWS", True)
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: 50.0 if seconds == 0.5 else 0.0)
    monkeypatch.setattr(environment.os, "cpu_count", lambda: 8)
    assert environment.environment()["load"] is None
    assert environment.environment(patience=0.5)["load"] == 4.0
    monkeypatch.setattr(psutil, "cpu_percent", broken)
    assert environment.environment(patience=0.5)["load"] is None


def test_how_many_processors_are_in_use_is_known_to_those_who_wait(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: 70.0)
    monkeypatch.setattr(environment.os, "cpu_count", lambda: 2)
    assert environment.busy_processors(0.5) == 1.4
    monkeypatch.setattr(psutil, "cpu_percent", broken)
    assert environment.busy_processors(0.5) is None


@pytest.mark.parametrize(("plugged", "told"), [(True, "mains"), (False, "battery"), (None, None)])
def test_where_the_power_comes_from(monkeypatch, plugged, told):
    state = SimpleNamespace(power_plugged=plugged)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: state, raising=False)
    assert environment.power_source() == told


def test_a_tiger_lake_has_vnni_and_no_bf16():
    tiger_lake = ["avx2", "avx512f", "avx512_vnni"]
    assert has_vnni(tiger_lake)
    assert not has_bf16(tiger_lake)
    assert has_vnni(["avx2", "avx_vnni"])
    assert has_bf16([*tiger_lake, "amx_bf16"])
    assert not has_vnni(["avx2", "avx512f"])


@pytest.mark.parametrize(
    ("physical", "allowed", "cores"), [(4, range(8), 4), (4, {0, 5}, 2), (None, range(3), 3)]
)
def test_cores_are_those_that_this_process_may_use(monkeypatch, physical, allowed, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(allowed), raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: physical)
    monkeypatch.setattr(environment, "QUOTA", Path("no such file"))
    assert environment.physical_cores() == cores


@pytest.mark.parametrize(
    ("told", "usable"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("20000 100000\n", 1),
        ("0 100000\n", 1),
        ("6400000 100000\n", 8),
        ("max 100000\n", 8),
        ("200000 0\n", 8),
        ("", 8),
    ],
)
def test_a_containers_share_of_the_time_counts_too(monkeypatch, tmp_path, told, usable):
    (tmp_path / "cpu.max").write_text(told, encoding="utf-8")
    monkeypatch.setattr(environment, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert environment.usable_processors() == usable


def test_a_system_that_tells_no_affinity_lets_a_process_use_them_all(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(environment, "QUOTA", Path("no such file"))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for mask, usable in (([0, 1, 4], 3), ([], 8)):  # [] where its threads are in several groups
        monkeypatch.setattr(
            psutil.Process, "cpu_affinity", lambda process, mask=mask: mask, raising=False
        )
        assert environment.usable_processors() == usable
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)
    assert environment.usable_processors() == 8
