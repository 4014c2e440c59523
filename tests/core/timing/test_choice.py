"""Which contestant is named the fastest."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
from scipy.stats import t as students_t

from cnnreg.manifest import FILE_NAME, Manifest, read_manifest, write_manifest
from cnnreg.runs.weights import weights_digest
from cnnreg.specs import ModelFile
from cnnreg.timing.bench import BenchResult, Contestant
from cnnreg.timing.choice import choose, is_proven, share_within
from helpers import contract


def result(label, medians, device="CPU", batch=1):
    baseline = 1.0
    ratios = sorted(baseline / own for own in medians)
    return BenchResult(
        label=label,
        model="model.xml",
        runtime="engine",
        format="openvino",
        precision="int8",
        device=device,
        settings={},
        batch=batch,
        calls=2000,
        mean=medians[0],
        p50=medians[0],
        p90=medians[0],
        p99=medians[0],
        round_medians=tuple(medians),
        images_per_second=1000 / medians[0],
        speedup=ratios[len(ratios) // 2],
        speedup_range=(ratios[0], ratios[-1]),
        first_call=1.0,
        load_seconds=0.1,
        warnings=(),
    )


TORCH = result("PyTorch fp32", [1.0, 1.0, 1.0, 1.0])
INT8 = result("OpenVINO int8", [0.35, 0.34, 0.35, 0.36])
FP32 = result("OpenVINO fp32", [0.5, 0.5, 0.5, 0.5])


def test_the_fastest_is_named_in_one_line():
    choice = choose([TORCH, FP32, INT8], [True, True, True])
    assert str(choice) == "Fastest here: OpenVINO int8 on CPU, 0.35 ms (2.9x PyTorch fp32)"


def test_what_was_not_proven_is_not_chosen_but_mentioned():
    choice = choose([TORCH, INT8, FP32], [True, False, True])
    assert choice.label == "OpenVINO fp32"
    assert choice.unproven == ("OpenVINO int8",)
    assert "not proven equal there: OpenVINO int8" in str(choice)


def test_slower_ones_that_were_not_proven_are_left_alone():
    choice = choose([TORCH, INT8, FP32], [True, True, False])
    assert choice.unproven == ()


def test_one_that_keeps_up_is_named_too():
    close = result("OpenVINO fp16", [0.36, 0.33, 0.36, 0.35])
    choice = choose([TORCH, INT8, close, FP32], [True] * 4)
    assert (choice.label, choice.level_with) == ("OpenVINO int8", ("OpenVINO fp16",))
    assert "; these rounds do not tell it from OpenVINO fp16" in str(choice)


@pytest.mark.parametrize(
    ("medians", "level"),
    [
        ([0.30, 0.30, 0.30, 0.30], True),
        ([0.31, 0.31, 0.31, 0.31], False),
        ([0.31, 0.32, 0.31, 0.32], False),
        ([0.31, 0.50, 0.31, 0.31], True),  # slower in every round, by what one of them decides
        ([0.33, 0.60], True),
        ([0.33, 0.331], False),
    ],
)
def test_level_is_what_the_rounds_do_not_tell_apart(medians, level):
    best = result("OpenVINO int8", [0.3] * len(medians))
    torch = result("PyTorch fp32", [1.0] * len(medians))
    choice = choose([torch, best, result("OpenVINO fp16", medians)], [True] * 3)
    assert choice.level_with == (("OpenVINO fp16",) if level else ())


@pytest.mark.parametrize(("p90", "level"), [(0.32, False), (0.34, True)])
def test_one_round_tells_apart_what_lies_above_nine_tenths_of_the_calls(p90, level):
    best = replace(result("OpenVINO int8", [0.3]), p90=p90)
    choice = choose([result("PyTorch fp32", [1.0]), best, result("fp16", [0.33])], [True] * 3)
    assert bool(choice.level_with) is level


def test_equal_engines_are_hardly_ever_told_apart():
    noise, told_apart, times = random.Random(0).lognormvariate, 0, 400
    for _ in range(times):
        one, other = (result(name, [noise(0, 0.05) for _ in range(5)]) for name in "ab")
        told_apart += not choose([one, other], [True] * 2).level_with
    assert told_apart / times <= 0.07


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 999])
@pytest.mark.parametrize("t", [0.0, 0.5, 2.0, 12.7])
def test_the_share_is_students(freedom, t):
    expected = 1 - 2 * students_t.sf(t, freedom)
    assert share_within(t, 1.0, freedom) == pytest.approx(expected, abs=1e-9)


def test_a_device_in_the_label_is_not_said_twice():
    gpu = result("OpenVINO fp16 on GPU", [0.2] * 4, device="GPU", batch=8)
    choice = choose([TORCH, gpu], [True, True])
    assert str(choice).startswith("Fastest here at batch 8: OpenVINO fp16 on GPU, 0.20 ms (5.0x")


def test_the_baseline_itself_may_win():
    slow = result("OpenVINO fp32", [2.0, 2.0, 2.0, 2.0])
    assert str(choose([TORCH, slow], [True, True])) == "Fastest here: PyTorch fp32 on CPU, 1.00 ms"


def test_without_proof_there_is_no_choice():
    assert choose([INT8], [False]) is None


@pytest.fixture
def exported(tmp_path):
    """An export proven in an engine on the processor, and in another one on a GPU."""
    (tmp_path / "model.xml").write_bytes(b"x")
    manifest = Manifest(
        format="openvino",
        precision="int8",
        model="model.xml",
        contract=contract(),
        source={},
        parity={"engine": {"agreement": 1.0}, "other": {"device": "GPU.0"}},
        environment={},
        created="",
    )
    write_manifest(tmp_path, manifest)
    path = tmp_path / "model.xml"
    return ModelFile(path=path, format="openvino", precision="int8", contract=contract())


def entrant(model, runtime="engine", device="CPU"):
    return Contestant("x", model, SimpleNamespace(name=runtime), None, 0.0, device)


def test_a_proof_is_of_an_engine_and_a_device(exported):
    assert is_proven(entrant(exported))
    assert not is_proven(entrant(exported, device="GPU"))
    assert not is_proven(entrant(exported, runtime="third"))
    assert is_proven(entrant(exported, runtime="other", device="GPU"))


def test_a_checkpoint_is_the_original_and_a_bare_file_proves_nothing(exported, tmp_path):
    checkpoint = replace(exported, path=tmp_path / "none", architecture=SimpleNamespace())
    assert is_proven(entrant(checkpoint))
    (exported.path.parent / FILE_NAME).unlink()
    assert not is_proven(entrant(exported))


def test_a_proof_of_weights_that_were_replaced_is_none(exported, tmp_path):
    manifest = replace(read_manifest(exported.path.parent), source={"checkpoint_sha256": "0ld"})
    folder = tmp_path / "run" / "exports" / "openvino-int8"
    folder.mkdir(parents=True)
    (folder / "model.xml").write_bytes(b"x")
    write_manifest(folder, manifest)
    model = replace(exported, path=folder / "model.xml")
    best = tmp_path / "run" / "best.safetensors"
    assert is_proven(entrant(model))
    for digest, holds in (("0ld", True), ("new", False)):
        header = json.dumps({"__metadata__": {"cnnreg": f"{digest} {{}}"}}).encode()
        best.write_bytes(len(header).to_bytes(8, "little") + header)
        assert weights_digest(best) == digest
        assert is_proven(entrant(model)) is holds
