"""`cnnreg doctor`, on machines that lack this or that."""

from __future__ import annotations

import dataclasses
import json

import pytest

from cnnreg.cli import doctor
from cnnreg.machine.compiled import compiled_folder
from cnnreg.registry import Catalog, Entry
from helpers import cli

IRIS = {
    "capabilities": "FP32, FP16, INT8",
    "type": "integrated",
    "execution units": "80",
    "driver": "32.0.101.7076",
}


@pytest.fixture
def machine(registry, monkeypatch):
    """A machine whose OpenVINO runtime has these devices and tells these details."""

    def make(devices, details=dict, graphics=(), **changes):
        runtime = dataclasses.replace(
            registry.runtimes["openvino"], devices=devices, details=details, **changes
        )
        runtimes = Catalog("runtime", [Entry(runtime, registry.plugins[0])])
        changed = dataclasses.replace(registry, runtimes=runtimes)
        monkeypatch.setattr(doctor, "get_registry", lambda: changed)
        monkeypatch.setattr(doctor, "intel_graphics", lambda: list(graphics))
        monkeypatch.setattr(doctor, "mend_for_nvidia", lambda: "")
        monkeypatch.setattr(
            doctor, "mend_for_graphics", lambda problem: f"the mend for {problem or 'it'}"
        )

    return make


def report():
    code, out, err = cli("doctor", "--json")
    assert code == 0, err
    text = cli("doctor")
    assert text[0] == 0
    return json.loads(out), " ".join(text[1].split())


def test_a_gpu_is_shown_with_what_its_driver_tells(machine):
    machine(lambda: {"CPU": "i5", "GPU": "Iris Xe"}, lambda: {"GPU": IRIS}, ["0x9a49"])
    data, text = report()
    assert data["mends"] == []
    assert data["runtimes"][0]["details"]["GPU"] == IRIS
    assert "GPU (Iris Xe): FP32, FP16, INT8; type integrated; execution units 80" in text


def test_graphics_that_the_engine_does_not_see_come_with_a_mend(machine):
    machine(lambda: {"CPU": "i5"}, lambda: {"GPU": {"problem": "no libOpenCL"}}, ["0x9a49"])
    data, text = report()
    assert data["mends"] == [
        {
            "what": "Intel graphics (0x9a49) are not seen by OpenVINO: no libOpenCL",
            "mend": "the mend for no libOpenCL",
        }
    ]
    assert "try: the mend for no libOpenCL" in text


def test_without_graphics_nothing_is_missing_but_windows_says_where_to_look(machine, monkeypatch):
    machine(lambda: {"CPU": "i5"})
    monkeypatch.setattr(doctor, "WINDOWS", False)
    assert report()[0]["mends"] == []
    monkeypatch.setattr(doctor, "WINDOWS", True)
    assert report()[0]["mends"][0]["what"] == "no GPU is seen by OpenVINO"


def test_what_training_runs_on_is_told(machine):
    machine(lambda: {"CPU": "i5"})
    data, text = report()
    assert data["training"] in text
    assert f"training on {data['training']}" in text


def test_a_gpu_that_torch_cannot_use_comes_with_a_mend(machine, monkeypatch):
    machine(lambda: {"CPU": "i5"})
    monkeypatch.setattr(doctor, "mend_for_nvidia", lambda: "pip install another torch")
    data, text = report()
    assert data["mends"][0]["mend"] == "pip install another torch"
    assert "missing: an NVIDIA GPU that PyTorch can use" in text


def test_a_missing_extra_comes_with_its_line(machine):
    machine(dict, requires=("no_such_package",), extra="gpu")
    data, text = report()
    assert {
        "what": "OpenVINO needs no_such_package",
        "mend": 'pip install "cnn-registry[gpu]"',
    } in (data["mends"])
    assert 'pip install "cnn-registry[gpu]"' in text


def test_whatever_breaks_the_rest_is_shown(machine, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("a driver's fault")

    machine(broken)
    for name in ("environment", "intel_graphics", "_kept_bytes"):
        monkeypatch.setattr(doctor, name, broken)
    data, text = report()
    assert "a driver's fault" in data["runtimes"][0]["missing"]
    assert "OpenVINO" in text


def test_details_that_fail_leave_the_engine_usable(machine):
    def broken():
        raise RuntimeError("a driver's fault")

    machine(lambda: {"CPU": "i5"}, broken)
    data, text = report()
    assert data["runtimes"][0]["missing"] is None
    assert data["runtimes"][0]["devices"] == {"CPU": "i5"}
    assert "CPU (i5)" in text


def test_the_processor_is_told_in_what_it_means(machine, monkeypatch):
    machine(lambda: {"CPU": "i5"})
    facts = doctor.environment()
    monkeypatch.setattr(doctor, "environment", lambda: {**facts, "isa": ["avx2", "avx512_vnni"]})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI")
    data, text = report()
    assert (data["vnni"], data["bf16"]) == (True, False)
    assert "yes, by VNNI" in text
    assert "ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI" in text
    assert "bf16 not in hardware" in text
    unknown = {"isa": ["avx2"], "load": None, "power": None}
    monkeypatch.setattr(doctor, "environment", lambda: {**facts, **unknown})
    text = report()[1]
    assert "no VNNI" in text
    assert "load unknown, power: unknown" in text


@pytest.mark.usefixtures("homeless")
def test_a_missing_home_comes_with_its_mend(machine):
    machine(lambda: {"CPU": "i5"})
    data, text = report()
    assert data["compiled"] == {"folder": None, "bytes": 0}
    assert [mend["mend"] for mend in data["mends"]] == ["Name a folder for them: CNNREG_HOME=..."]
    assert "missing: a home folder" in text


def test_the_size_of_what_is_kept(machine):
    machine(lambda: {"CPU": "i5"})
    compiled_folder().joinpath("shelf").mkdir(parents=True)
    (compiled_folder() / "shelf" / "blob").write_bytes(bytes(1234))
    data, text = report()
    assert data["compiled"] == {"folder": str(compiled_folder()), "bytes": 1234}
    assert "1.2 kB" in text
