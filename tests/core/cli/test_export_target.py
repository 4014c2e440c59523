"""`export --target`."""

from __future__ import annotations

import dataclasses
import json
import signal
from functools import partial

import pytest

from cnnreg.cli import export_target
from cnnreg.cli.export_target import Job, jobs_for, spared
from cnnreg.errors import GateError, UsageError
from cnnreg.exporting.publishing import publish
from cnnreg.exporting.targets import plans
from cnnreg.models import exported_model
from cnnreg.registry import Catalog, Entry
from cnnreg.specs import Interface, RuntimeOptions
from cnnreg.termination import terminable
from cnnreg.timing.choice import proof_of
from cnnreg.timing.contestants import load_contestants
from helpers import cli, make_run, train

IRIS = {"CPU": "a processor", "GPU": "Iris Xe"}


@pytest.fixture
def laptop(registry, monkeypatch):
    """The registry of a laptop with VNNI and graphics."""
    monkeypatch.setattr(export_target, "instruction_sets", lambda: ["avx512_vnni"])
    return with_graphics(registry, "FP32, FP16")


@pytest.fixture
def xe(registry, monkeypatch):
    """The same, but its graphics have instructions for int8."""
    monkeypatch.setattr(export_target, "instruction_sets", lambda: ["avx512_vnni"])
    return with_graphics(registry, "FP32, FP16, INT8")


class OnGraphics:
    """A session of the processor's that says it is the GPU's."""

    def __init__(self, session):
        self.prepare, self.infer = session.prepare, session.infer

    def describe(self):
        return {"device": "GPU.0"}


def with_graphics(registry, capabilities):
    real = registry.runtimes["openvino"]

    def open_session(model, options):
        session = real.open(model, dataclasses.replace(options, device="CPU"))
        return OnGraphics(session) if options.device == "GPU" else session

    runtime = dataclasses.replace(
        real,
        devices=lambda: IRIS,
        details=lambda: {"GPU": {"capabilities": capabilities, "driver": "32.0"}},
        open=open_session,
    )
    runtimes = Catalog("runtime", [Entry(runtime, registry.plugins[0])])
    return dataclasses.replace(registry, runtimes=runtimes)


def jobs(registry, target, *precisions, formats=(), embed=False, fixed=False):
    exporters = [registry.exporters[name] for name in formats]
    return jobs_for(registry, target, exporters, precisions, Interface(embed=embed, fixed=fixed))


def test_auto_is_a_file_for_each_device(laptop):
    made = jobs(laptop, "auto", embed=True)
    assert [(job.target, job.precision, job.interface.suffix, job.device) for job in made] == [
        ("cpu", "int8", "-embed", "CPU"),
        ("igpu", "fp16", "-embed-fixed", "GPU"),
    ]


def test_flags_that_say_the_same_are_welcome(laptop):
    assert jobs(laptop, "igpu", "fp16", formats=["openvino"], fixed=True)
    assert jobs(laptop, "auto", "fp16", "int8")


def test_graphics_with_int8_get_both_or_the_one_that_is_named(xe):
    assert [job.precision for job in jobs(xe, "auto")] == ["int8", "fp16", "int8"]
    assert [job.precision for job in jobs(xe, "igpu", "int8", "fp16")] == ["fp16", "int8"]
    assert [job.precision for job in jobs(xe, "igpu", "fp16")] == ["fp16"]
    with pytest.raises(UsageError, match="fp16, fixed shapes and OpenVINO int8, fixed shapes"):
        jobs(xe, "igpu", "int8")


def test_int8_that_loses_too_much_on_graphics_leaves_fp16(xe, capsys):
    fp16, int8 = jobs(xe, "igpu")
    assert int8.outcomes == ("int8",)
    with pytest.raises(GateError) as caught:
        int8.run(refusing_int8)
    assert spared(int8, caught.value, [fp16])
    assert "accuracy drops. So for the GPU there is fp16 alone." in capsys.readouterr().err
    assert not spared(int8, caught.value, [])  # that one was refused as well
    assert not spared(fp16, caught.value, [int8])
    assert not spared(int8, UsageError("no such format"), [fp16])


def test_what_a_target_wrote_for_graphics_is_proven_where_it_is_timed(xe, original, tmp_path):
    for job in jobs(xe, "igpu"):
        job.run(
            partial(
                publish,
                xe,
                original,
                job.exporter,
                output=tmp_path,
                interface=job.interface,
                device=job.device,
            )
        )
    models = [exported_model(folder) for folder in sorted(tmp_path.glob("openvino-*"))]
    contestants = load_contestants(xe, models, RuntimeOptions(), ("all",))
    proven = [one.label for one in contestants if not proof_of(one).doubt]
    assert proven == ["OpenVINO fp16 fixed on GPU.0", "OpenVINO int8 fixed on GPU.0"]


@pytest.mark.parametrize(
    ("target", "precisions", "more", "named"),
    [
        ("igpu", ["int8"], {}, "--precision int8"),
        ("igpu", ["fp16", "fp32"], {}, "--precision fp16 --precision fp32"),
        ("auto", ["fp16"], {}, "--precision fp16"),
        ("cpu", ["fp32"], {}, "--precision fp32"),
        ("cpu", [], {"fixed": True}, "--fixed"),
        ("igpu", [], {"formats": ["onnx"]}, "--onnx"),
        ("igpu", [], {"formats": ["onnx", "openvino"]}, "--onnx"),
    ],
)
def test_flags_that_say_otherwise_are_refused_by_name(laptop, target, precisions, more, named):
    with pytest.raises(UsageError, match=f"which {named} contradicts") as caught:
        jobs(laptop, target, *precisions, **more)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def refusing_int8(precision):
    if precision == "int8":
        raise GateError("Not published: accuracy drops.")
    return precision


def test_a_target_whose_int8_loses_too_much_gets_fp32(laptop, capsys):
    (job,) = jobs(laptop, "cpu")
    assert job.run(refusing_int8) == "fp32"
    assert "accuracy drops. So fp32 is written." in capsys.readouterr().err
    asked = Job(exporter=job.exporter, precision="int8", interface=Interface())
    with pytest.raises(GateError):
        asked.run(refusing_int8)


def test_a_stop_in_disguise_is_no_refusal(laptop):
    (job,) = jobs(laptop, "cpu")

    def careless(precision):
        if precision == "fp32":
            return precision
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise GateError("conversion failed") from None

    with pytest.raises(KeyboardInterrupt), terminable():
        job.run(careless)
        pytest.fail("went on")


def test_another_refusal_stays_one(laptop):
    (job,) = jobs(laptop, "igpu")

    def refuse(precision):
        raise GateError("Not published.")

    with pytest.raises(GateError):
        job.run(refuse)


def test_a_file_for_graphics_is_written_and_proven_without_any(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run)
    code, out, err = cli("export", run.folder, "--target", "igpu", "--json")
    assert code == 0, err
    (result,) = json.loads(out)
    assert (result["target"], result["precision"], result["interface"]["fixed"]) == (
        "igpu", "fp16", True,
    )  # fmt: skip
    seen = any(name.startswith("GPU") for name in registry.runtimes["openvino"].devices())
    assert result["parity"]["openvino"]["device"] == ("GPU" if seen else "CPU")
    assert seen or "not seen here" in err
    assert (run.exports / "openvino-fp16-fixed/manifest.json").is_file()
    code, _, err = cli("export", run.folder, "--target", "igpu", "--precision", "int8")
    assert code == 2
    assert "contradicts" in err


def test_plans_are_said_before_the_work(laptop, capsys):
    (job,) = jobs(laptop, "cpu")
    job.run(lambda precision: precision)
    assert plans("cpu", IRIS, ["avx512_vnni"], {})[0].note in capsys.readouterr().err
