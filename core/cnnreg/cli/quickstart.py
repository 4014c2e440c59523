"""`cnnreg quickstart`: the commands a newcomer would type, typed for them."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from time import perf_counter

import click
from rich.rule import Rule
from rich.text import Text

from cnnreg.engines import require
from cnnreg.files import write_bytes
from cnnreg.run_data import data_of_run
from cnnreg.runs import DEFAULT_ROOT, Run, open_run

from .common import console, get_registry, human_time

STEPS = (
    ("What is there: a few of the networks", "list resnet18"),
    (
        "Train the network of a first course on real handwritten digits",
        "train simple_cnn --epochs 15 --batch-size 32 --output {run}",
    ),
    (
        "Write it for other engines; each file is compared with the original first",
        "export {run} --onnx --openvino --precision fp32 --precision int8",
    ),
    ("Time them all on the same images", "bench {run} --rounds 5 --seconds 0.1"),
    ("Use one: no torch is needed for this", "predict {export} {picture}"),
)

NEXT = (
    ("cnnreg train resnet18 --data path/to/your/photos", "a folder with a folder for each class"),
    ("cnnreg export --openvino --precision int8", "refused unless the accuracy holds"),
    ("cnnreg bench", "what it costs on this machine"),
    ("cnnreg list", "all the networks"),
)


@click.command()
def command() -> None:
    """A minute, offline: train a small net, export, prove, time, and use it."""
    require(("torch", "onnx", "nncf"), "train")
    from .app import run as run_line

    started = perf_counter()
    out = console()
    folder = _free_folder()
    places = {"run": str(folder), "export": str(folder / "exports" / "openvino-int8")}
    for number, (caption, line) in enumerate(STEPS, 1):
        typed = line.format(**places)
        out.print()
        out.print(Rule(Text(f" {number}  {caption} ", style="bold"), align="left", style="dim"))
        out.print(Text.assemble(("$ ", "dim"), (f"cnnreg {typed}", "cyan")), soft_wrap=True)
        run_line(typed.split())
        if typed.startswith("train"):
            places["picture"] = str(_save_picture(open_run(folder)))
    out.print()
    out.print(Rule(Text(" Now your own images ", style="bold"), align="left", style="dim"))
    for typed, remark in NEXT:
        out.print(Text.assemble(("$ ", "dim"), (f"{typed:<52}", "cyan"), (remark, "dim")))
    out.print(f"\nAll of this took {human_time(perf_counter() - started)}.")


def _free_folder() -> Path:
    """runs/quickstart, or the first of runs/quickstart-2, -3 ... that is not taken."""
    names = (f"quickstart-{number}" if number > 1 else "quickstart" for number in count(1))
    return next(DEFAULT_ROOT / name for name in names if not (DEFAULT_ROOT / name).exists())


def _save_picture(run: Run) -> Path:
    """An image of the test split, which training has not seen, as a file to predict."""
    from io import BytesIO

    from PIL import Image

    dataset = data_of_run(get_registry(), run)
    image = dataset.test.take(1, seed=3)
    pixels, label = image.pixels[0], dataset.classes[int(image.labels[0])]
    buffer = BytesIO()
    Image.fromarray(pixels[:, :, 0]).save(buffer, format="PNG")
    path = run.folder / f"a-{label}.png"
    write_bytes(path, buffer.getvalue())
    return path
