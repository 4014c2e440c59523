"""Ask OpenVINO Model Server what is in pictures: python client.py cat.jpg dog.png

Needs numpy and Pillow, and labels.json beside it. The request is KServe's version 2:
https://github.com/kserve/kserve/blob/master/docs/predict-api/v2/required_api.md
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from PIL import Image, ImageOps

LABELS = Path(__file__).with_name("labels.json")
TIMEOUT = 60  # seconds


def main() -> int:
    known = json.loads(LABELS.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description="Ask OpenVINO Model Server what is in pictures.")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--model", choices=list(known), default=next(iter(known)))
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--top", type=int, default=3, help="classes shown")
    options = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console's code page must not end this
            stream.reconfigure(errors="replace")
    failed = 0
    for picture in options.pictures:
        try:
            pixels = read(picture)
        except Exception as error:  # noqa: BLE001 - parsers meet hostile bytes and raise all kinds
            print(f"{picture}: {str(error) or type(error).__name__}", file=sys.stderr)
            failed = 1
            continue
        try:
            version, shares = ask(options.url, options.model, pixels)
            labels = known[options.model][version]
        except KeyError as error:
            print(
                f"{picture}: labels.json does not know {error}; copy the new one.", file=sys.stderr
            )
            failed = 1
        except (OSError, HTTPException, ValueError) as error:
            print(f"{picture}: {error}", file=sys.stderr)
            failed = 1
        else:
            best = np.argsort(shares)[::-1][: options.top]
            print(f"{picture}: " + ", ".join(f"{labels[i]} {100 * shares[i]:.1f} %" for i in best))
    return failed


def read(path: Path) -> Any:
    """The picture upright, as uint8 RGB [1, height, width, 3]; what is transparent is white."""
    with Image.open(path) as opened:
        opened.load()
        # A damaged EXIF block says nothing about the pixels, which are whole here.
        with suppress(Exception):
            ImageOps.exif_transpose(opened, in_place=True)
        picture: Image.Image = opened
        if picture.mode[0] in "IF":
            picture = Image.fromarray(eight_bit(picture.mode, finite(np.asarray(picture))))
        if picture.has_transparency_data:
            colour = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
        return np.asarray(picture.convert("RGB"))[None]


def finite(values: Any) -> Any:
    return np.nan_to_num(values, posinf=0, neginf=0)


def eight_bit(mode: str, values: Any) -> Any:
    """Of 16 bits, and of wider integers, the upper eight; F is 0..1, 0..255 or 0..65535."""
    if mode == "F" and values.max() < 1.01:
        return (values.clip(0, 1) * 255).round().astype(np.uint8)
    if mode == "F" and values.max() < 1.01 * 255:
        return values.clip(0, 255).astype(np.uint8)
    return (values.clip(0, 65535).astype(np.uint16) >> 8).astype(np.uint8)


def ask(url: str, model: str, pixels: Any) -> tuple[str, Any]:
    """The version that answered, and the probability of each class."""
    described = {"name": "images", "shape": pixels.shape, "datatype": "UINT8"}
    header = json.dumps(
        {"inputs": [{**described, "parameters": {"binary_data_size": pixels.nbytes}}]}
    ).encode()
    place = urlsplit(url if "://" in url else f"http://{url}")
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    connection = kind(place.netloc, timeout=TIMEOUT)
    try:
        connection.request(
            "POST",
            f"{place.path.rstrip('/')}/v2/models/{quote(model)}/infer",
            body=header + pixels.tobytes(),
            headers={
                "Content-Type": "application/octet-stream",
                "Inference-Header-Content-Length": str(len(header)),
            },
        )
        response = connection.getresponse()
        answer = json.loads(response.read())
    except ConnectionError as error:
        raise OSError(f"no server answers at {url}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        why = answer.get("error", answer) if isinstance(answer, dict) else answer
        raise OSError(f"the server says {response.status}: {why}")
    try:
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
        return str(answer["model_version"]), np.asarray(outputs["probabilities"], np.float32)
    except (KeyError, TypeError) as error:
        raise OSError(f"the server's answer is no classifier's: {answer!r:.100}") from error


if __name__ == "__main__":
    sys.exit(main())
