"""`cnnreg runs`, as it is typed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from cnnreg.errors import DivergedError
from cnnreg.files import TEMPORARY_PREFIX, sole_writer
from cnnreg.manifest import FILE_NAME
from helpers import cli, make_run, train


@pytest.fixture(scope="module")
def home(registry, tmp_path_factory):
    """Two runs and a damaged one."""
    folder = tmp_path_factory.mktemp("a place ü")
    train(registry, make_run(registry, folder / "runs" / "first", epochs=2, schedule="cosine"))
    make_run(registry, folder / "runs" / "second", architecture="simple_cnn", seed=3)
    shutil.copytree(folder / "runs" / "first", folder / "runs" / "third")
    (folder / "runs" / "third" / "run.json").write_text("{")
    return folder


@pytest.fixture(autouse=True)
def there(home, monkeypatch):
    monkeypatch.chdir(home)


def names(*arguments):
    code, out, err = cli("runs", *arguments, "--json")
    assert code == 0, err
    return [run["name"] for run in json.loads(out)]


def test_runs_are_listed_newest_first_and_damaged_ones_too():
    assert names() == ["second", "first", "third"]
    code, out, err = cli("runs")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[2].split()[-2:] == ["finished", "-"]
    assert lines[3].split() == ["third", "damaged"]
    assert "note: third: Not valid JSON" in err


def test_exports_are_counted_and_named_only_in_show(home, tmp_path):
    copy = shutil.copytree(home / "runs" / "first", tmp_path / "copy")
    for precision in ("fp32", "int8"):
        folder = copy / "exports" / f"onnx-{precision}"
        folder.mkdir(parents=True)
        (folder / FILE_NAME).write_text('{"schema": 1}')
    lines = cli("runs", "--root", tmp_path)[1].splitlines()
    assert lines[0].split()[-2:] == ["state", "exports"]
    assert lines[1].split()[-2:] == ["finished", "2"]
    assert "onnx-fp32, onnx-int8" in cli("runs", "show", copy)[1]


def test_a_pattern_meets_name_network_and_data(home):
    assert names("SIMPLE") == ["second"]
    assert names("f*t") == ["first"]
    assert names("digits") == ["second", "first"]
    assert names("list") == ["second", "first", "third"]
    assert names("--root", home / "runs", "--sort", "accuracy", "mlp") == ["first"]
    assert names("nope") == []


def test_no_run_is_a_good_answer(tmp_path):
    code, out, err = cli("runs", "nope")
    assert (code, out) == (0, "")
    assert err == "note: No run matches 'nope'; `cnnreg runs` shows all.\n"
    code, out, err = cli("runs", "nope", "--root", tmp_path)
    assert (code, out) == (0, "")
    assert f"note: There is no run yet. [{tmp_path}] Go to the folder" in err
    assert json.loads(cli("runs", "--root", tmp_path, "--json")[1]) == []


def test_show_tells_everything_about_one(home):
    code, out, err = cli("runs", "show", "first", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["changed"] == {
        "epochs": {"is": 2, "usual": 20},
        "schedule": {"is": "cosine", "usual": "one-cycle"},
    }
    assert len(found["history"]) == 2
    assert len(found["report"]["classes"]) == 10
    assert found["confusions"][0]["images"] >= found["confusions"][-1]["images"] > 0
    assert {"run.json", "report.json"} <= {file["name"] for file in found["files"]}
    code, out, _ = cli("runs", "show", home / "runs" / "first")
    assert code == 0
    worst = found["confusions"][0]
    assert f"{worst['true']} taken for {worst['predicted']}, {worst['images']} times" in out
    assert "as usual but epochs 2 (20), schedule cosine (one-cycle)" in out


def test_show_tells_what_a_training_began_from_and_how_it_went_on(registry, home, tmp_path):
    """Without which its accuracy cannot be believed, or made again."""
    weights = str(home / "runs" / "first")
    breaks = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 1e30}
    run = make_run(registry, tmp_path / "run", weights=weights, **breaks)
    run = run.changed(changes=({"epoch": 1, "step": 7, "what": ["epochs was 1, is 3"], "at": ""},))
    with pytest.raises(DivergedError):
        train(registry, run)
    _, out, _ = cli("runs", "show", run.folder)
    for said in (
        f"the weights of {weights}",
        "after epoch 1, step 7: epochs was 1, is 3",
        "The loss is",
    ):
        assert said in "".join(out.split("\n")) or said in " ".join(out.split())
    assert "None" not in out
    found = json.loads(cli("runs", "show", run.folder, "--json")[1])
    assert (found["weights"], found["changes"][0]["step"]) == (weights, 7)
    assert found["failure"].startswith("The loss is")


def test_a_result_is_shown_while_the_report_is_made(home, tmp_path):
    copy = shutil.copytree(home / "runs" / "first", tmp_path / "copy")
    (copy / "report.json").unlink()
    with sole_writer(copy):
        found = json.loads(cli("runs", "show", copy, "--json")[1])
    assert found["state"] == "being trained"
    assert found["result"]["test_accuracy"] == found["test_accuracy"]


def test_what_a_command_is_writing_is_no_file_of_a_run(home):
    scratch = home / "runs" / "first" / "exports" / f"{TEMPORARY_PREFIX}x"
    scratch.mkdir(parents=True)
    (scratch / "model.onnx").touch()
    found = json.loads(cli("runs", "show", "first", "--json")[1])
    shutil.rmtree(scratch)
    assert [file for file in found["files"] if TEMPORARY_PREFIX in file["name"]] == []


def test_show_means_the_newest_run(home):
    code, out, _ = cli("runs", "show")
    assert (code, out.splitlines()[0]) == (0, "second")
    assert "stopped before it began" in out


def test_a_damaged_run_or_none_is_one_line(home, tmp_path):
    assert cli("runs", "show", "third")[0] == 4
    assert cli("runs", "show", "nothing")[0] == 2
    assert cli("runs", "--root", tmp_path / "nowhere")[0] == 2
    assert cli("runs", "show", "--root", tmp_path)[0] == 2


def test_the_run_that_one_is_in_is_shown_by_name(home, monkeypatch):
    monkeypatch.chdir(home / "runs" / "first")
    assert cli("runs", "show", ".")[1].splitlines()[0] == "first"


def test_a_damaged_report_does_not_hide_the_run(home, tmp_path):
    shutil.copytree(home / "runs" / "first", tmp_path / "copy")
    (tmp_path / "copy" / "report.json").write_text("{}")
    code, out, err = cli("runs", "show", tmp_path / "copy", "--json")
    assert (code, json.loads(out)["report"]) == (0, None)
    assert "Damaged report" in err


def test_listing_real_runs_imports_nothing_heavy():
    code = (
        "import sys\nfrom cnnreg.cli import main\n"
        "try:\n    main(['runs'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'numpy', 'matplotlib', 'mlflow', 'tensorboard'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_groups_that_list_take_the_flags_of_their_list():
    assert cli("plugins", "--json") == cli("plugins", "list", "--json")
    assert cli("plugins", "nope")[0] == 2
    assert "disable" in cli("plugins", "--help")[1]
