"""The README of a layout: how to start the server, and what to send it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Template

from cnnreg.manifest import Manifest
from cnnreg.markdown import escape, table

LABELS = 20  # that are shown of each model
PICTURE = [[[[255, 0, 0], [255, 0, 0]], [[0, 0, 255], [0, 0, 255]]]]  # a flag of 2x2 pixels

TEXT = Template("""\
# Models to be served

A model repository for [OpenVINO Model Server](https://docs.openvino.ai/2026/model-server/ovms_what_is_openvino_model_server.html).
`cnnreg export --serve-layout` writes this file, `client.py` and `labels.json` anew each time; what
you add to an entry of `config.json`, it keeps.

$models

Each version's folder holds its model card and its manifest with the proof that it equals the
trained network.

## Start the server

In this folder:

    docker run --rm --user "$$(id -u):$$(id -g)" -v "$${PWD}:/models:ro" \\
      -p 127.0.0.1:9000:9000 -p 127.0.0.1:8000:8000 openvino/model_server:latest \\
      --config_path /models/config.json --port 9000 --rest_port 8000

(In PowerShell in one line and without `--user ...`.) Without Docker, with the server's own package:

    ovms --config_path config.json --port 9000 --rest_port 8000

A new version is taken up within a second, without a restart; the latest one answers. The server
asks nobody for a password: leave out `127.0.0.1:` only where everyone may use it.

## Ask it

    python client.py picture.jpg

`client.py` needs numpy and Pillow, nothing of cnnreg. It and `labels.json` may be copied anywhere;
`--url` says where the server is, `--model` which model to ask.

## What is sent

KServe's predict protocol, version 2: pixels as an image file holds them, RGB, of any height and
width, one picture or several of one size.

    POST http://127.0.0.1:8000/v2/models/$model/infer

    $request

The answer holds `model_version` and, in `outputs`, `probabilities`, and `logits` from which they
are. The first number is the probability of the first label of that version in `labels.json`.

In a POSIX shell:

    curl -s http://127.0.0.1:8000/v2/models/$model/infer -d '$request'

Shorter is the binary form: instead of `data`, the pixels follow the JSON as bytes, and a header
says how long the JSON is.

    Inference-Header-Content-Length: $length

    $header
    followed by $bytes bytes

Send pixels, not JPEG or PNG files as `BYTES`: those the server would decode itself, with blue
first.

## Labels

$labels
""")


def guide(models: Mapping[str, tuple[int, Manifest]]) -> str:
    """Of the latest version of each model."""
    rows = [
        (
            f"`{name}`",
            str(version),
            escape(made.contract.architecture),
            escape(made.data),
            made.precision,
            str(made.contract.num_classes),
        )
        for name, (version, made) in models.items()
    ]
    picture = {"name": "images", "shape": [1, 2, 2, 3], "datatype": "UINT8"}
    header = json.dumps({"inputs": [{**picture, "parameters": {"binary_data_size": 12}}]})
    return TEXT.substitute(
        models=table(("model", ">version", "network", "data", "precision", ">classes"), rows),
        model=next(iter(models)),
        request=json.dumps({"inputs": [{**picture, "data": PICTURE}]}),
        header=header,
        length=len(header),
        bytes=12,
        labels="\n".join(f"- `{name}`: {_labels(made)}" for name, (_, made) in models.items()),
    )


def _labels(manifest: Manifest) -> str:
    names = manifest.contract.classes
    shown = ", ".join(escape(name) for name in names[:LABELS])
    more = len(names) - LABELS
    return f"{shown}, and {more:,} more in `labels.json`" if more > 0 else shown
