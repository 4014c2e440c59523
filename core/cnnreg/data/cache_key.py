"""What decides decoded pixels, in a few bytes: where that is the same none is decoded anew."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cnnreg.specs import Resize, Samples, Shape

from .listing import common_folder, middle_of, relative_names

FORMAT = 2  # another one where images are decoded or resized to other pixels
WIDE = (".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")  # may hold more than eight bits
WIDE_FORMAT = 2  # another one where those alone become other pixels
MOST = 20_000  # files looked into, of those that are alike in size and time


def cache_key(samples: Samples, image_shape: Shape, resize: Resize) -> str:
    """sha256 over all that decides the pixels: names, sizes and times of files, or pixels."""
    from hashlib import sha256

    from PIL import __version__ as pillow

    digest = sha256(f"{FORMAT} {pillow} {image_shape} {resize}\n".encode())
    if samples.pixels is not None:
        digest.update(f"{samples.pixels.shape}\n".encode())
        digest.update(samples.pixels.tobytes())
        return digest.hexdigest()
    if any(path.name.lower().endswith(WIDE) for path in samples.files):
        digest.update(f"{WIDE_FORMAT}\n".encode())
    names = relative_names(samples.files, common_folder(samples.files))
    facts = [*map(_facts, samples.files)]
    for name, known, middle in zip(names, facts, _middles(samples.files, facts), strict=True):
        digest.update(known + middle + os.fsencode(f"{name}\n"))
    return digest.hexdigest()


def _middles(files: Sequence[Path], facts: Sequence[bytes]) -> list[bytes]:
    """Bytes of those that are alike in size and time: of an archive all may have one time."""
    from concurrent.futures import ThreadPoolExecutor

    alike = Counter(facts)
    wanted = {path for path, known in zip(files, facts, strict=True) if alike[known] > 1}
    if not 0 < len(wanted) <= MOST:
        return [b""] * len(files)
    with ThreadPoolExecutor() as pool:  # a network drive answers many at once
        found = pool.map(lambda path: middle_of(path) if path in wanted else None, files)
        return [middle[1] if middle else b"" for middle in found]


def _facts(path: Path) -> bytes:
    try:
        facts = path.stat()
    except OSError:  # a broken link: counted when it is read
        return b""
    return f"{facts.st_size} {facts.st_mtime_ns} ".encode()
