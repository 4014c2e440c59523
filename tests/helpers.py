"""Small things that several tests build on."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnreg.cli import main
from cnnreg.cli.common import get_registry
from cnnreg.data import DataConfig
from cnnreg.files import disk, places, writing
from cnnreg.planning import plan
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry
from cnnreg.run_data import data_of_run
from cnnreg.runs import Run, create_run
from cnnreg.specs import ArchitectureSpec, EpochRecord, ModelContract, Paper
from cnnreg.training import closing
from cnnreg.training.saving import saver
from cnnreg.training.saving.checkpoint import read_checkpoint
from cnnreg.training.saving.progress import Progress
from cnnreg.training.trainer import run_training


def contract(**changes: Any) -> ModelContract:
    """A contract for 8x8 grey images of three classes, with changes."""
    fields: dict[str, Any] = {
        "architecture": "mlp",
        "plugin": "cnn-registry 0.1.0",
        "num_classes": 3,
        "input_shape": (1, 8, 8),
        "form": "standard",
        "dropout": None,
        "classes": ("a", "b", "c"),
        "mean": (0.5,),
        "std": (0.25,),
        "resize": "squash",
        "dataset": "digits",
    }
    return ModelContract(**{**fields, **changes})


def make_run(
    registry: Registry,
    folder: Path,
    architecture: str = "mlp",
    *,
    image_size: int | None = None,
    dropout: float | None = None,
    weights: str = "",
    **recipe: Any,
) -> Run:
    """A run on the embedded digits that is planned but not trained."""
    plain = {"precision": "fp32", "layout": "channels-last", "compile": "off"}
    settings: dict[str, Any] = {"epochs": 2, "patience": 0, **plain, **recipe}
    data = DataConfig(name="digits", image_size=image_size)
    config, _ = plan(
        registry, architecture, data, Recipe(**settings), dropout=dropout, weights=weights
    )
    return create_run(config, folder=folder)


def picture(height: int = 20, width: int = 30) -> Image.Image:
    """Smooth, and different in every corner and channel."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = (rows * 255 // height, columns * 255 // width, (rows + columns) * 3 % 256)
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


def photos(folder: Path, count: int, labels: Sequence[str] = ("cat", "dog")) -> Path:
    """A folder of class folders, no two pictures alike."""
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.new("RGB", (32, 32), (number, 0 if label == "cat" else 255, len(label)))
            image.save(folder / label / f"{number:03}.png")
    return folder


def refused(code: int, said: str, *arguments: object) -> None:
    """The command must end with `code`, say `said` shortly, and as JSON too."""
    got, out, err = cli(*arguments)
    assert got == code, (got, out, err)
    assert said in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if not line.startswith("note:")]) <= 4
    assert out == ""
    got, out, _ = cli(*arguments, "--json")
    error = json.loads(out)["error"]
    assert (got, error["exit"]) == (code, code)
    assert said in " ".join(str(value) for value in error.values())


def spec(name: str = "tiny") -> ArchitectureSpec:
    return ArchitectureSpec(
        name=name,
        family="tiny",
        summary="a test",
        build=lambda options: None,
        parameters=1,
        macs=1,
        paper=Paper(title="t", year=2026, url="https://example.org"),
        licence="Apache-2.0",
    )


def on_windows(monkeypatch: pytest.MonkeyPatch, windows: bool = True) -> None:
    """Files as they are there, or as they are elsewhere."""
    for module in (disk, places, writing):
        monkeypatch.setattr(module, "WINDOWS", windows)


def refuse_once(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Path's `method`, for each path, as on Windows while a scanner has the file open."""
    real, refused = getattr(Path, method), set()

    def scanned(self: Path, *given: Any, **options: Any) -> Any:
        if self not in refused:
            refused.add(self)
            raise PermissionError(errno.EACCES, "Access is denied")
        return real(self, *given, **options)

    on_windows(monkeypatch)
    monkeypatch.setattr(writing, "sleep", lambda seconds: None)
    monkeypatch.setattr(Path, method, scanned)


DRAWING = {
    (module, name): draw
    for module in (closing, saver)
    for name, draw in vars(module).items()
    if name.startswith("draw_")
}


@contextmanager
def pictures(*, drawn: bool) -> Iterator[None]:
    """Drawing takes longer than the trainings of tests that look at something else."""
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), draw in DRAWING.items():
            patch.setattr(module, name, draw if drawn else lambda *_: None)
        yield


def train(registry: Registry, run: Run, **options: Any) -> list[EpochRecord]:
    return list(run_training(registry, run, data_of_run(registry, run), **options))


def cli(*arguments: str | Path) -> tuple[int, str, str]:
    """Run a command line in this process: exit code, stdout, stderr."""
    out, err = StringIO(), StringIO()
    get_registry.cache_clear()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0), out.getvalue(), err.getvalue()


def set_terminal(patch: pytest.MonkeyPatch, columns: int) -> None:
    """What is printed with rich is for a terminal of that width; `click.unstyle` makes it plain."""
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", str(columns))):
        patch.setenv(name, value)


def stop_at(step: int, number: int = signal.SIGINT) -> Callable[[Progress], None]:
    """For `on_step`: a signal at the end of that step."""

    def on_step(progress: Progress) -> None:
        if progress.step == step:
            signal.raise_signal(number)

    return on_step


def state_of(run: Run) -> dict[str, Any]:
    """Everything that must be equal for two runs to count as the same."""
    checkpoint = read_checkpoint(run.last)
    state = json.loads(json.dumps(checkpoint.state))
    for record in state["progress"]["history"]:
        for timing in ("seconds", "images_per_second"):
            del record[timing]
    tensors = {**checkpoint.model, **checkpoint.extra}
    return {
        "state": state,
        "tensors": {name: tensor.numpy().tobytes() for name, tensor in tensors.items()},
    }


class Canary:
    """Would leave `file` behind if anyone ever ran what a pickle says."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"echo sung > {self.file}",)


def install_plugin(site: Path, package: str, **modules: str) -> None:
    """What pip would leave in `site`: the modules, and `package` with the first as its plugin."""
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
    module = next(iter(modules))
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cnnreg]\n{package} = {module}\n")
