"""What is exported for which machine."""

from __future__ import annotations

import pytest

from cnnreg.exporting.targets import plans

PLAIN, TIGER_LAKE = ["avx2"], ["avx2", "avx512f", "avx512_vnni"]
CPU = {"CPU": "some processor"}
IRIS = {**CPU, "GPU": "Intel(R) Iris(R) Xe Graphics (iGPU)"}


XE = {"GPU": {"capabilities": "FP32, BIN, FP16, INT8"}}


def brief(target, devices, isa, details):
    return [
        (p.target, p.precision, p.fixed, p.device) for p in plans(target, devices, isa, details)
    ]


@pytest.mark.parametrize(
    ("target", "devices", "isa", "expected"),
    [
        ("cpu", CPU, TIGER_LAKE, [("cpu", "int8", False, "CPU")]),
        ("cpu", IRIS, PLAIN, [("cpu", "fp32", False, "CPU")]),
        ("igpu", CPU, TIGER_LAKE, [("igpu", "fp16", True, "CPU")]),
        ("igpu", IRIS, PLAIN, [("igpu", "fp16", True, "GPU")]),
        ("auto", CPU, TIGER_LAKE, [("cpu", "int8", False, "CPU")]),
        ("auto", IRIS, TIGER_LAKE, [("cpu", "int8", False, "CPU"), ("igpu", "fp16", True, "GPU")]),
        ("igpu", {"GPU.1": "b", "GPU.0": "a"}, PLAIN, [("igpu", "fp16", True, "GPU.0")]),
    ],
)
def test_the_settings_follow_from_the_machine(target, devices, isa, expected):
    assert brief(target, devices, isa, {}) == expected


def test_a_gpu_with_instructions_for_int8_gets_such_a_file_beside_the_other():
    fp16, int8 = (("igpu", precision, True, "GPU") for precision in ("fp16", "int8"))
    assert brief("igpu", IRIS, PLAIN, XE) == [fp16, int8]
    assert brief("auto", IRIS, TIGER_LAKE, XE) == [("cpu", "int8", False, "CPU"), fp16, int8]
    assert brief("igpu", IRIS, PLAIN, {"GPU": {"capabilities": "FP32, FP16"}}) == [fp16]
    assert [plan.spare for plan in plans("auto", IRIS, PLAIN, XE)] == [False, False, True]


def test_each_file_says_what_it_is_for():
    here, elsewhere = plans("igpu", IRIS, PLAIN, XE), plans("igpu", CPU, PLAIN, {})
    assert all("Iris" in plan.note for plan in here)
    assert "not seen here" in elsewhere[0].note
    assert "VNNI" in plans("cpu", CPU, PLAIN, {})[0].note
    assert here[0].words == "fp16, fixed shapes"
