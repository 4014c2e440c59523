"""What decides the speed of this processor, from whoever tells."""

from __future__ import annotations

import os
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


FOUR_CORES = ("0,4", "1,5", "2,6", "3,7")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Eight processors, of which this process may use some, and a share of their time."""

    def machine(allowed=range(8), share=None, siblings=(), physical=4):
        for number, own in enumerate((*siblings, *siblings)):
            (topology := tmp_path / f"cpu{number}" / "topology").mkdir(parents=True, exist_ok=True)
            (topology / "core_cpus_list").write_text(f"{own}\n", encoding="utf-8")
        monkeypatch.setattr(environment, "PROCESSORS", tmp_path)
        monkeypatch.setattr(environment, "processor_share", lambda: share)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(allowed), raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 8)
        monkeypatch.setattr(psutil, "cpu_count", lambda logical: physical)

    return machine


@pytest.mark.parametrize(
    ("allowed", "cores"), [(range(8), 4), ({0, 1, 4, 5}, 2), ({0, 1, 2, 3}, 4), ({6}, 1)]
)
def test_two_processors_of_one_core_are_one_core(machine, allowed, cores):
    machine(allowed, siblings=FOUR_CORES)
    assert environment.physical_cores() == cores


@pytest.mark.parametrize(
    ("physical", "allowed", "cores"), [(4, range(8), 4), (4, {0, 5, 6}, 2), (None, range(3), 3)]
)
def test_where_nobody_tells_which_share_a_core_it_is_in_proportion(
    machine, physical, allowed, cores
):
    machine(allowed, physical=physical)
    assert environment.physical_cores() == cores


@pytest.mark.parametrize(
    ("share", "usable", "cores"),
    [(None, 8, 4), (2.0, 2, 2), (1.5, 2, 2), (0.2, 1, 1), (0.0, 1, 1), (64.0, 8, 4)],
)
def test_a_containers_share_of_the_time_counts_too(machine, share, usable, cores):
    machine(share=share, siblings=FOUR_CORES)
    assert (environment.usable_processors(), environment.physical_cores()) == (usable, cores)


@pytest.mark.parametrize(
    ("asked", "allowed", "told"),
    [(None, 8, None), (4, 8, None), (3, 8, 3), (8, 8, 8), (None, 6, 4), (4, 6, 4)],
)
def test_an_engine_is_told_no_number_where_it_is_its_own_choice(machine, asked, allowed, told):
    machine(range(allowed), siblings=FOUR_CORES)
    assert environment.threads_to_ask_for(asked) == told


def test_a_system_that_tells_no_affinity_lets_a_process_use_them_all(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(environment, "processor_share", lambda: None)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for mask, usable in (([0, 1, 4], 3), ([], 8)):  # [] where its threads are in several groups
        monkeypatch.setattr(
            psutil.Process, "cpu_affinity", lambda process, mask=mask: mask, raising=False
        )
        assert environment.usable_processors() == usable
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)
    assert environment.usable_processors() == 8
