"""The layout's own client, as a stranger runs it: with numpy and Pillow, without cnnreg."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import model_server
from cnnreg.exporting.original import load_original
from cnnreg.exporting.publishing import publish
from cnnreg.images import read_image
from cnnreg.run_data import data_of_run
from cnnreg.serving import serve
from cnnreg.serving.client import read
from cnnreg.specs import Interface
from cnnreg.using import load, predict
from helpers import make_run, train

ALONE = """
import runpy, sys
sys.modules.update(dict.fromkeys(("torch", "cnnreg", "cnnreg_export", "openvino")))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def layout(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=3)
    train(registry, run)
    original = load_original(registry, run, data_of_run(registry, run))
    exporter, embed = registry.exporters["openvino"], Interface(embed=True)
    result = publish(registry, original, exporter, "fp32", interface=embed)
    return serve(result.folder, run.folder / "serving").folder


@pytest.fixture(
    scope="module",
    params=[
        model_server.serving,
        pytest.param(
            model_server.real_serving,
            marks=pytest.mark.skipif(
                not model_server.OVMS,
                reason="OpenVINO Model Server (ovms) is not installed: it is on no package index",
            ),
        ),
    ],
    ids=["stand-in", "ovms"],
)
def url(layout, request):
    with request.param(layout) as address:
        yield address


def client(layout: Path, *arguments: str | Path, cwd: Path | None = None):
    return subprocess.run(
        [sys.executable, "-c", ALONE, str(layout / "client.py"), *map(str, arguments)],
        cwd=cwd or layout,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def pictures(folder: Path) -> list[Path]:
    """A digit as it is, larger and coloured, half transparent, turned, and in wider types."""
    plane = np.zeros((40, 60), np.uint8)
    plane[5:35, 10:20] = plane[5:12, 10:50] = 255
    image = Image.fromarray(plane)
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(plane))
    names = ("grey", "colour", "clear", "turned", "deep", "dark")
    paths = [folder / f"{name} ü.png" for name in names]
    paths += [folder / f"{name}.tif" for name in ("wide", "share", "float", "over")]
    image.save(paths[0])
    image.convert("RGB").resize((100, 90)).save(paths[1])
    clear.save(paths[2])
    image.save(paths[3], exif=turned)
    Image.fromarray(plane.astype(np.uint16) * 257).save(paths[4])
    Image.fromarray(plane.astype(np.uint16)).save(paths[5])
    Image.fromarray(plane.astype(np.int32)).save(paths[6])
    Image.fromarray(plane.astype(np.float32) / 255).save(paths[7])
    Image.fromarray(plane.astype(np.float32)).save(paths[8])
    Image.fromarray(plane.astype(np.float32) / 254).save(paths[9])
    return paths


def test_it_prints_what_cnnreg_predicts(registry, layout, url, tmp_path):
    model = load(next(layout.glob("mlp-*/1")), threads=1, registry=registry)
    paths = pictures(tmp_path)
    bare = url.removeprefix("http://")
    done = client(layout, *paths, "--url", bare, "--top", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        (best,) = predict(model, path, top=1)
        name, _, share = line.removeprefix(f"{path}: ").rpartition(" %")[0].rpartition(" ")
        assert name == best.name
        assert float(share) == pytest.approx(100 * best.probability, abs=1.5)


@pytest.mark.parametrize("top", [0.5, 1.0, 1.005, 1.1, 200, 256, 300, 65535, 1e6])
@pytest.mark.parametrize("low", [0, -0.001, -3])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint16])
def test_wide_pixels_become_eight_bits_as_cnnreg_makes_them(tmp_path, top, low, dtype):
    path = tmp_path / "a.tif"
    Image.fromarray(np.linspace(low, top, 256).reshape(16, 16).clip(-9, 65535).astype(dtype)).save(
        path
    )
    assert np.array_equal(read(path)[0], np.asarray(read_image(path, 3)))


def test_what_cannot_be_read_or_reached_is_one_line(layout, url, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (good,) = pictures(tmp_path)[:1]
    done = client(layout, tmp_path / "text.png", tmp_path / "gone.png", good, "--url", url)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert done.stdout.startswith(str(good))
    done = client(layout, good, "--url", "http://127.0.0.1:9")
    assert (done.returncode, "no server answers at" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A block of tag, type, count and value; Pillow itself writes none that is damaged."""
    values, place = b"", 8 + 2 + 12 * len(entries) + 4
    table = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        where = struct.pack("<I", place + len(values)) if len(value) > 4 else value.ljust(4, b"\0")
        table += struct.pack("<HHI", tag, kind, count) + where
        values += value if len(value) > 4 else b""
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + table + b"\0\0\0\0" + values


def test_odd_pictures_do_not_end_it(layout, url, tmp_path):
    turned = (0x0112, 3, 1, struct.pack("<H", 6))
    odd = {
        "negative": exif(turned, (0x011A, 10, 1, struct.pack("<ii", -1, 0))),
        "text": exif(turned, (0x0100, 2, 4, b"ab\xff\0"), (0x8769, 2, 4, b"abc\0")),
    }
    paths = [tmp_path / f"{name}.jpg" for name in odd]
    for path, block in zip(paths, odd.values(), strict=True):
        Image.new("RGB", (20, 40)).save(path, exif=block)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    damaged = tmp_path / "damaged.png"
    Image.fromarray(noise).save(damaged)
    content = bytearray(damaged.read_bytes())
    second = content.find(b"IDAT", 200)
    content[second : second + 4] = b"\x01\x02\x03\x04"
    damaged.write_bytes(content)
    done = client(layout, damaged, *paths, "--url", url)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{damaged}: ") and len(done.stderr.splitlines()) == 1
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == list(map(str, paths))


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (500, "[1]", "the server says 500: [1]"),
        (404, '{"error": "no such model"}', "the server says 404: no such model"),
        (200, "[]", "the server's answer is no classifier's: []"),
        (200, '{"model_version": "1"}', "the server's answer is no classifier's"),
    ],
)
def test_another_kind_of_server_is_told(layout, tmp_path, status, answer, said):
    class Other(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *arguments):
            pass

    (good,) = pictures(tmp_path)[:1]
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = client(layout, good, "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_labels_of_another_version_are_asked_for(layout, url, tmp_path):
    (good,) = pictures(tmp_path)[:1]
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "client.py").write_bytes((layout / "client.py").read_bytes())
    labels = json.loads((layout / "labels.json").read_text(encoding="utf-8"))
    old = {name: {"7": next(iter(versions.values()))} for name, versions in labels.items()}
    (alone / "labels.json").write_text(json.dumps(old))
    done = client(alone, good, "--url", url)
    assert (done.returncode, "labels.json does not know '1'" in done.stderr) == (1, True)
