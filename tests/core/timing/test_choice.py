"""Which contestant is named the fastest."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from cnnreg.manifest import FILE_NAME, Manifest, read_manifest, write_manifest
from cnnreg.runs.weights import weights_digest
from cnnreg.specs import Interface, ModelFile, RuntimeSpec
from cnnreg.timing import choice as module
from cnnreg.timing.bench import BenchResult, Contestant
from cnnreg.timing.choice import CURE, Proof, choose, proof_of
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


PROVEN, DOUBTFUL = Proof(), Proof("proven on CPU")
TORCH = result("PyTorch fp32", [1.0, 1.0, 1.0, 1.0])
INT8 = result("OpenVINO int8", [0.35, 0.34, 0.35, 0.36])
FP32 = result("OpenVINO fp32", [0.5, 0.5, 0.5, 0.5])


def test_the_fastest_is_named_in_one_line():
    choice = choose([TORCH, FP32, INT8], [PROVEN] * 3)
    assert str(choice) == "Fastest here: OpenVINO int8 on CPU, 0.35 ms (2.9x PyTorch fp32)"


def test_what_was_not_proven_is_not_chosen_but_mentioned():
    choice = choose([TORCH, INT8, FP32], [PROVEN, DOUBTFUL, PROVEN])
    assert choice.label == "OpenVINO fp32"
    assert choice.unproven == ("OpenVINO int8",)
    assert str(choice).endswith(
        ". Faster, but not proven equal there: OpenVINO int8 (proven on CPU)"
    )


def test_what_was_seen_to_answer_otherwise_is_not_chosen_whatever_was_proven():
    wrong = replace(INT8, answers_otherwise=True)
    choice = choose([TORCH, wrong, FP32], [PROVEN] * 3)
    assert choice.label == "OpenVINO fp32"
    assert str(choice).endswith("OpenVINO int8 (answers otherwise here)")
    assert choose([TORCH, replace(INT8, agreement=0.9)], [PROVEN] * 2).label == "OpenVINO int8"


def test_slower_ones_that_were_not_proven_are_left_alone():
    choice = choose([TORCH, INT8, FP32], [PROVEN, PROVEN, DOUBTFUL])
    assert choice.unproven == ()


def test_one_that_keeps_up_is_named_too():
    close = result("OpenVINO fp16", [0.36, 0.33, 0.36, 0.35])
    choice = choose([TORCH, INT8, close, FP32], [PROVEN] * 4)
    assert (choice.label, choice.level_with) == ("OpenVINO int8", ("OpenVINO fp16",))
    assert "; these rounds do not tell it from OpenVINO fp16" in str(choice)


def test_one_that_is_not_told_from_the_baseline_is_not_called_faster():
    close = result("OpenVINO fp32", [0.9, 1.1, 0.9, 0.8])
    said = str(choose([TORCH, close], [PROVEN] * 2))
    assert said == (
        "Fastest here: OpenVINO fp32 on CPU, 0.90 ms; these rounds do not tell it from PyTorch fp32"
    )


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
    choice = choose([torch, best, result("OpenVINO fp16", medians)], [PROVEN] * 3)
    assert choice.level_with == (("OpenVINO fp16",) if level else ())


@pytest.mark.parametrize(("p90", "level"), [(0.32, False), (0.34, True)])
def test_one_round_tells_apart_what_lies_above_nine_tenths_of_the_calls(p90, level):
    best = replace(result("OpenVINO int8", [0.3]), p90=p90)
    choice = choose([result("PyTorch fp32", [1.0]), best, result("fp16", [0.33])], [PROVEN] * 3)
    assert bool(choice.level_with) is level


@pytest.mark.parametrize("engines", [2, 6])
def test_equal_engines_are_hardly_ever_told_apart(engines):
    noise, told_apart, times = random.Random(0).lognormvariate, 0, 400
    for _ in range(times):
        equal = [result(str(n), [noise(0, 0.05) for _ in range(10)]) for n in range(engines)]
        told_apart += len(choose(equal, [PROVEN] * engines).level_with) < engines - 1
    assert told_apart / times <= 0.07


def test_one_without_proof_is_called_faster_only_where_the_rounds_tell():
    noise, times = random.Random(0).lognormvariate, 200
    for lead, called in ((0.01, (0.0, 0.1)), (0.3, (0.95, 1.0))):
        faster = 0
        for _ in range(times):
            here, there = ([noise(-at, 0.05) for _ in range(10)] for at in (0, lead))
            pair = [result("OpenVINO fp32", here), result("OpenVINO int8", there)]
            faster += bool(choose(pair, [PROVEN, DOUBTFUL]).unproven)
        assert called[0] <= faster / times <= called[1]


def on_gpu(label, milliseconds, device="GPU.0"):
    return result(label, [milliseconds] * 4, device=device)


def test_the_cure_is_named_only_where_it_would_be_one():
    fast = on_gpu("OpenVINO int8 on GPU.0", 0.2)
    curable = Proof("proven on CPU", curable=True)
    choice = choose([TORCH, fast], [PROVEN, curable])
    assert choice.cure == CURE
    assert str(choice).endswith(f"OpenVINO int8 on GPU.0 (proven on CPU). {CURE}")
    assert choose([TORCH, fast], [PROVEN, DOUBTFUL]).cure == ""
    slow = on_gpu("OpenVINO int8 on GPU.0", 2.0)
    assert choose([TORCH, slow], [PROVEN, curable]).cure == ""
    fixed = on_gpu("OpenVINO int8 fixed on GPU.0", 0.3)
    there = choose([TORCH, fast, fixed], [PROVEN, curable, PROVEN])
    assert (there.label, there.unproven, there.cure) == (fixed.label, (fast.label,), "")


def test_what_was_proven_one_by_one_is_not_chosen_for_larger_batches():
    for batch, doubts in ((1, None), (8, ("proven at batch 1",))):
        fast = result("OpenVINO fp16", [0.1] * 4, device="GPU", batch=batch)
        choice = choose([replace(TORCH, batch=batch), fast], [PROVEN, Proof(one_by_one=True)])
        assert choice.label == ("PyTorch fp32" if doubts else "OpenVINO fp16")
        assert choice.doubts == (doubts or ())


def test_a_device_in_the_label_is_not_said_twice():
    gpu = result("OpenVINO fp16 on GPU", [0.2] * 4, device="GPU", batch=8)
    choice = choose([TORCH, gpu], [PROVEN] * 2)
    assert str(choice).startswith("Fastest here at batch 8: OpenVINO fp16 on GPU, 0.20 ms (5.0x")


def test_the_baseline_itself_may_win():
    slow = result("OpenVINO fp32", [2.0, 2.0, 2.0, 2.0])
    assert str(choose([TORCH, slow], [PROVEN] * 2)) == "Fastest here: PyTorch fp32 on CPU, 1.00 ms"


def test_without_proof_there_is_no_choice():
    assert choose([INT8], [DOUBTFUL]) is None


IRIS = {"device_name": "Iris Xe", "driver": "31.0", "engine": "cnn-registry 1"}


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """An export proven in an engine on the processor, and in another one on a GPU."""
    monkeypatch.setattr("cnnreg.machine.devices.installed", lambda package: "1")
    return published(tmp_path, {"engine": {"agreement": 1.0}, "other": {"device": "GPU", **IRIS}})


def published(folder, parity, isa=()):
    (folder / "model.xml").write_bytes(b"x")
    manifest = Manifest(
        format="openvino",
        precision="int8",
        model="model.xml",
        contract=contract(),
        source={},
        parity=parity,
        environment={"isa": list(isa)},
        created="",
    )
    write_manifest(folder, manifest)
    path = folder / "model.xml"
    return ModelFile(path=path, format="openvino", precision="int8", contract=contract())


def entrant(model, runtime="engine", device="CPU", name="Iris Xe", driver="31.0"):
    engine = RuntimeSpec(
        name=runtime,
        title=runtime,
        formats=("openvino",),
        open=lambda model, options: None,
        devices=lambda: {"CPU": "some processor", "GPU": name},
        details=lambda: {"GPU": {"driver": driver, "capabilities": "FP16, INT8"}},
        requires=("cnn-registry",),
    )
    return Contestant("x", model, engine, None, 0.0, device)


def doubt(*arguments, **options):
    return proof_of(entrant(*arguments, **options)).doubt


def test_a_proof_is_of_an_engine_and_a_device(exported):
    assert doubt(exported) == ""
    assert doubt(exported, device="GPU.0") == "proven on CPU"
    assert doubt(exported, "third") == "not proven in this engine"
    assert doubt(exported, "other", "GPU.0") == ""
    assert doubt(exported, "other") == "proven on GPU"


def test_a_proof_on_a_gpu_is_of_that_one_its_driver_and_the_engines_version(exported, monkeypatch):
    assert "another device" in doubt(exported, "other", "GPU", name="UHD")
    assert "another driver" in doubt(exported, "other", "GPU", driver="32.0")
    monkeypatch.setattr("cnnreg.machine.devices.installed", lambda package: "2")
    assert "another version" in doubt(exported, "other", "GPU")
    assert doubt(exported) == ""


def test_a_manifest_that_does_not_name_its_gpu_proves_nothing_there(tmp_path):
    model = published(tmp_path, {"other": {"device": "GPU"}})
    assert "does not say" in doubt(model, "other", "GPU")


@pytest.mark.parametrize(
    ("proven", "here", "holds"),
    [
        ("avx512_vnni", "avx2", False),
        ("avx512_vnni", "avx_vnni", True),
        ("avx2", "avx2", True),
        ("avx2", "avx512_vnni", True),
    ],
)
def test_int8_proven_with_vnni_is_not_where_its_sums_may_overflow(
    tmp_path, monkeypatch, proven, here, holds
):
    monkeypatch.setattr(module, "instruction_sets", lambda: [here])
    model = published(tmp_path, {"engine": {}}, [proven])
    assert doubt(model) == ("" if holds else "proven on a processor with VNNI")


def test_on_a_gpu_an_open_shape_was_proven_for_one_image_at_a_time(exported):
    fixed = replace(exported, interface=Interface(fixed=True))
    assert proof_of(entrant(exported, "other", "GPU")).one_by_one
    assert not proof_of(entrant(fixed, "other", "GPU")).one_by_one
    assert not proof_of(entrant(exported)).one_by_one


@pytest.mark.parametrize(
    ("runtime", "device", "precision", "curable"),
    [
        ("openvino", "GPU.0", "int8", True),
        ("openvino", "GPU.0", "fp16", True),
        ("openvino", "GPU.0", "fp32", False),
        ("openvino", "GPU.1", "int8", False),
        ("openvino", "CPU", "fp16", False),
        ("third", "GPU.0", "int8", False),
    ],
)
def test_the_cure_is_for_what_a_target_writes(exported, runtime, device, precision, curable):
    proof = proof_of(entrant(replace(exported, precision=precision), runtime, device))
    assert proof.doubt
    assert proof.curable is curable


def test_a_checkpoint_is_the_original_and_a_bare_file_proves_nothing(exported, tmp_path):
    checkpoint = replace(exported, path=tmp_path / "none", format="checkpoint")
    assert doubt(checkpoint, device="GPU") == ""
    (exported.path.parent / FILE_NAME).unlink()
    assert doubt(exported) == "no manifest beside it"


def test_a_proof_of_weights_that_were_replaced_is_none(exported, tmp_path):
    manifest = replace(read_manifest(exported.path.parent), source={"checkpoint_sha256": "0ld"})
    folder = tmp_path / "run" / "exports" / "openvino-int8"
    folder.mkdir(parents=True)
    (folder / "model.xml").write_bytes(b"x")
    write_manifest(folder, manifest)
    model = replace(exported, path=folder / "model.xml")
    (tmp_path / "run" / "run.json").touch()
    best = tmp_path / "run" / "best.safetensors"
    assert doubt(model) == ""
    for digest, holds in (("0ld", True), ("new", False)):
        header = json.dumps({"__metadata__": {"cnnreg": f"{digest} {{}}"}}).encode()
        best.write_bytes(len(header).to_bytes(8, "little") + header)
        assert weights_digest(best) == digest
        assert doubt(model) == ("" if holds else "of older weights")
