"""A small stand-in for OpenVINO Model Server, after its documentation.

It reads config.json, takes each model's highest version, and answers KServe's v2 requests
over HTTP, as JSON or with the pixels as bytes. Where the server itself is installed, as
`ovms`, tests use it too.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from cnnreg_export.runtimes.openvino.hardware import core

OVMS = shutil.which("ovms")
TYPES = {"UINT8": np.uint8, "FP32": np.float32}


class Model:
    """The highest version of a folder."""

    def __init__(self, base: Path) -> None:
        names = [path.name for path in base.iterdir() if path.is_dir()]
        assert all(re.fullmatch("[1-9][0-9]*", name) for name in names), names
        self.version = max(names, key=int)
        folder = base / self.version
        (path,) = [*folder.glob("*.xml"), *folder.glob("*.onnx")]
        self.compiled = core().compile_model(path, "CPU")

    def infer(self, inputs: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        (taken,) = self.compiled.inputs
        (given,) = inputs.values()
        assert list(inputs) == [taken.any_name]
        assert given.dtype == taken.element_type.to_dtype(), "the server converts no types"
        answers = self.compiled(given)
        return [
            {
                "name": output.any_name,
                "shape": list(answers[output].shape),
                "datatype": "FP32",
                "data": answers[output].ravel().tolist(),
            }
            for output in self.compiled.outputs
        ]


def load(layout: Path) -> dict[str, Model]:
    """As the server starts: relative paths are from where config.json lies."""
    config = json.loads((layout / "config.json").read_text(encoding="utf-8"))
    assert list(config) == ["model_config_list"], "the server's schema allows no other key"
    entries = [entry["config"] for entry in config["model_config_list"]]
    return {entry["name"]: Model(layout / entry["base_path"]) for entry in entries}


def read_request(body: bytes, header: str | None) -> dict[str, np.ndarray]:
    length = int(header) if header else len(body)
    request, raw = json.loads(body[:length]), body[length:]
    found = {}
    for tensor in request["inputs"]:
        kind = TYPES[tensor["datatype"]]
        if header:
            size = tensor["parameters"]["binary_data_size"]
            values, raw = np.frombuffer(raw[:size], kind), raw[size:]
        else:
            values = np.array(tensor["data"], kind)
        found[tensor["name"]] = values.reshape(tensor["shape"])
    assert not raw, "bytes are left over"
    return found


@contextmanager
def serving(layout: Path) -> Iterator[str]:
    """The address of a server of this layout."""
    models = load(layout)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            name = self.path.removeprefix("/v2/models/").removesuffix("/infer")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                inputs = read_request(body, self.headers["Inference-Header-Content-Length"])
                model = models[name]
                outputs = model.infer(inputs)
                self.answer(
                    200, {"model_name": name, "model_version": model.version, "outputs": outputs}
                )
            except Exception as error:
                self.answer(400, {"error": repr(error)})

        def answer(self, status: int, data: dict[str, Any]) -> None:
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def real_serving(layout: Path) -> Iterator[str]:
    """The same by OpenVINO Model Server itself."""
    assert OVMS
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(str(free.getsockname()[1]))
    command = [OVMS, "--config_path", str(layout / "config.json")]
    process = subprocess.Popen([*command, "--port", ports[0], "--rest_port", ports[1]])
    try:
        url = f"http://127.0.0.1:{ports[1]}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/v2/health/ready", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()
