from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest

from cnnreg.cli import export
from cnnreg.errors import GateError, MachineError
from cnnreg.exporting.parity import ClassLoss, Parity
from cnnreg.exporting.publishing import ExportResult
from cnnreg.registry import Catalog
from cnnreg.specs import BARE
from helpers import cli, make_run, train

PARITY = Parity(
    images=256,
    judged=256,
    largest_difference=1.0,
    mean_difference=0.1,
    tolerance=0.0,
    agreement=0.99,
    original_accuracy=0.9,
    exported_accuracy=0.89,
    complaint="",
)


@pytest.fixture(scope="module")
def run(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=3)
    train(registry, run)
    return run


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_stop_while_int8_is_sought_leaves_no_trace(run, monkeypatch, number, code):
    def stop(*arguments, **options):
        signal.raise_signal(number)

    monkeypatch.setattr("cnnreg.exporting.quantising.search", stop)
    ended, _, _ = cli("export", run.folder, "--openvino", "--precision", "int8")
    assert ended == code
    assert not [path for path in run.exports.iterdir() if path.is_dir()]


def test_int8_says_how_it_came_about(run):
    command = ("export", run.folder, "--openvino", "--precision", "int8", "--max-drop", "5")
    code, out, err = cli(*command, "--json")
    assert code == 0, err
    (result,) = json.loads(out)
    quantised = result["quantised"]
    assert (quantised["way"], quantised["float_layers"]) == ("fast", [])
    assert quantised["calibration_images"] == 300
    judged = quantised["judging_images"]
    assert judged in {result["parity"]["openvino"][name] for name in ("images", "judged")}
    code, out, err = cli(*command)
    assert f"post-training quantisation, calibrated on 300 images, judged on {judged}" in out


def test_a_class_that_lost_most_is_told(run, monkeypatch, tmp_path):
    lost = ClassLoss("[bold]cat", images=1200, before=0.975, after=0.0)
    compared = replace(PARITY, worst_class=lost)
    result = ExportResult(
        folder=tmp_path,
        model=tmp_path / "model.onnx",
        format="onnx",
        precision="int8",
        interface=BARE,
        bytes=1,
        seconds=1.0,
        parity={"onnxruntime": PARITY, "openvino": compared},
    )
    monkeypatch.setattr("cnnreg.cli.export.publish", lambda *arguments, **options: result)
    code, out, _ = cli("export", run.folder, "--onnx")
    assert code == 0
    assert (
        "\n      of the classes, [bold]cat lost most: 97.50 % -> 0.00 % of its 1,200 images\n"
        in out
    )
    assert out.count("lost most") == 1
    _, out, _ = cli("export", run.folder, "--onnx", "--json")
    assert json.loads(out)[0]["parity"]["openvino"]["worst_class"]["images"] == 1200


def test_a_refused_file_does_not_end_the_others(run, monkeypatch):
    def refuse(*arguments, **options):
        raise GateError("Too much is lost.", hint="Use fp16.")

    monkeypatch.setattr("cnnreg.exporting.quantising.search", refuse)
    command = ("export", run.folder, "--onnx", "--precision", "int8,fp32", "--json")
    code, out, _ = cli(*command)
    told = json.loads(out)
    assert code == told["error"]["exit"] == 8
    assert told["error"]["message"] == "Too much is lost."
    (published,) = told["finished"]
    assert (published["format"], published["precision"]) == ("onnx", "fp32")
    code, out, _ = cli("export", run.folder, "--onnx", "--precision", "int8", "--json")
    assert (code, list(json.loads(out))) == (8, ["error"])


def test_all_that_were_refused_are_named_with_what_to_do(run, monkeypatch):
    said = iter([("ONNX loses too much.", "Use fp16."), ("OpenVINO loses too much.", "Use fp32.")])

    def refuse(*arguments, **options):
        what, hint = next(said)
        raise GateError(what, hint=hint)

    monkeypatch.setattr("cnnreg.exporting.quantising.search", refuse)
    code, out, err = cli("export", run.folder, "--onnx", "--openvino", "--precision", "int8")
    assert (code, out) == (8, "")
    assert "2 of 2 files: ONNX loses too much. OpenVINO loses too much." in err
    assert "Use fp16. Use fp32." in err


@pytest.mark.parametrize("interface", [["--fixed"], ["--embed", "--fixed"]])
def test_files_of_a_fixed_size_are_proven_one_image_at_a_time(run, tmp_path, interface):
    command = ["export", run.folder, "--onnx", "--openvino", "--output", tmp_path, *interface]
    code, out, err = cli(*command, "--json")
    assert code == 0, err
    assert len(json.loads(out)) == 2


def test_what_ends_all_hides_no_refusal(run, monkeypatch):
    def refuse(*arguments, **options):
        raise (ends.pop(0))

    ends = [GateError("Too much is lost.", hint="Use fp16."), MachineError("Disk full.")]
    monkeypatch.setattr("cnnreg.cli.export.publish", refuse)
    code, _, err = cli("export", run.folder, "--onnx", "--openvino")
    assert code == 5
    assert "Too much is lost. Use fp16." in err
    assert "Disk full." in err


def test_what_was_published_in_place_of_a_refused_int8_is_a_result_too(run, monkeypatch):
    publish = export.publish

    def refuse(registry, original, exporter, precision, **options):
        error = GateError("Too much is lost.", hint="Use fp16.")
        if precision == "fp16":
            return publish(registry, original, exporter, "fp16", **options)
        del options["fp16_instead"]
        error.instead = publish(registry, original, exporter, "fp16", **options)
        raise error

    monkeypatch.setattr(export, "publish", refuse)
    command = ["export", run.folder, "--openvino", "--precision", "int8,fp16", "--serve-layout"]
    code, out, _ = cli(*command, "--json")
    told = json.loads(out)
    assert (code, told["error"]["message"]) == (8, "Too much is lost.")
    (published,) = told["finished"]
    assert (published["precision"], published["served"]["version"]) == ("fp16", 1)


def test_what_cannot_be_served_was_published_all_the_same(run, monkeypatch):
    def refuse(*arguments):
        raise MachineError("Disk full.")

    monkeypatch.setattr("cnnreg.cli.export.serve", refuse)
    code, out, _ = cli("export", run.folder, "--openvino", "--serve-layout", "--json")
    told = json.loads(out)
    assert (code, told["error"]["message"]) == (5, "Disk full.")
    assert [published["format"] for published in told["finished"]] == ["openvino"]


@pytest.mark.parametrize(
    ("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (MemoryError(), 5)], ids=repr
)
def test_what_was_published_before_an_end_is_told(run, monkeypatch, end, code):
    publish, published = export.publish, []

    def publish_one(*arguments, **options):
        if published and isinstance(end, MemoryError):
            raise end
        if published:
            signal.raise_signal(end)
        published.append(publish(*arguments, **options))
        return published[-1]

    monkeypatch.setattr(export, "publish", publish_one)
    ended, out, _ = cli("export", run.folder, "--openvino", "--onnx", "--json")
    told = json.loads(out)
    assert (ended, told["error"]["exit"]) == (code, code)
    assert [one["format"] for one in told["finished"]] == [published[0].format]


def test_a_stop_that_a_converter_makes_a_refusal_of_ends_all(run, monkeypatch):
    def refuse(*arguments, **options):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as stop:
            raise GateError("Cannot export: interrupted.") from stop

    monkeypatch.setattr("cnnreg.cli.export.publish", refuse)
    code, _, err = cli("export", run.folder, "--onnx", "--openvino")
    assert (code, "interrupted" in err) == (143, False)


def test_a_format_called_like_an_option_is_asked_for_by_its_plugin(registry, monkeypatch):
    """Click would take the flag for its own option, and nobody could choose the format."""
    entry = registry.exporters.entries[0]
    named = [replace(entry.spec, name=name) for name in ("json", "output", "debug", "fine")]
    exporters = Catalog("exporter", [replace(entry, spec=spec) for spec in named])
    changed = replace(registry, exporters=exporters)
    monkeypatch.setattr(export, "get_registry", lambda: changed)
    flags = list(export._formats())
    assert sorted(flags) == [
        "fine",
        *(f"{entry.plugin.name}:{n}" for n in ("debug", "json", "output")),
    ]
    _, out, _ = cli("export", "--help")
    assert f"--{entry.plugin.name}:json" in out


DROP, MINUTES = "--max-drop is of fp16 and int8; fp32 is", "--max-minutes is of int8 alone"


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("fp32", [DROP, MINUTES]),
        ("fp32,fp16", [MINUTES]),
        ("fp32,int8", []),
    ],
)
def test_a_budget_that_no_file_has_is_said_to_be_unused(precision, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("export", "--onnx", "--precision", precision)
    code, _, err = cli(*command, "--max-drop", "0.1", "--max-minutes", "10")
    assert (code, "no run yet" in err) == (2, True)
    assert [text for text in (DROP, MINUTES) if f"note: {text}" in err] == said
    assert "note:" not in cli(*command)[2]
