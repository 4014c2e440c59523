"""The one path from an image file to a model's input, for training and for every runtime."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from .errors import CnnregError, DataError, is_out_of_memory, one_line
from .files import typed
from .specs import Resize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from .specs import Pixels

# The parsers that are worth their attack surface; EPS, for one, would start Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
MODES = {1: "L", 3: "RGB"}
MAX_PIXELS = 178_956_970  # where Pillow calls an image a decompression bomb
LETTERBOX_GREY = 128


def is_image(name: str) -> bool:
    """By its name; a hidden file is none."""
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def unreadable_folder(error: OSError) -> NoReturn:
    raise DataError(f"Cannot read the folder: {error.strerror}.", where=error.filename) from error


class Header(NamedTuple):
    """What an image file says of itself, without its pixels being decoded."""

    height: int  # upright, as `read_image` returns it
    width: int
    grey: bool


def read_image(path: Path, channels: int) -> Image.Image:
    """The first frame, upright, as 8-bit grey (1 channel) or RGB (3).

    Alpha is laid on white; 16-bit grey, and integers of a wider type, keep the upper 8 of 16
    bits; floats are 0..1, 0..255 or 0..65535. Raises DataError.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        image.load()
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S110 - damaged EXIF says nothing of pixels, whole here
            pass
        opaque, mode = _opaque(_eight_bit(image)), MODES[channels]
        return opaque if opaque.mode == mode else opaque.convert(mode)  # which copies


def read_header(path: Path) -> Header:
    """Raises DataError for what `read_image` would refuse by its header."""
    from PIL import ExifTags

    with _opened(path) as image:
        width, height = image.size
        orientation = 1
        with suppress(Exception):
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation in (5, 6, 7, 8) and image.format != "TIFF":  # Pillow turns TIFF itself
            width, height = height, width
        return Header(height, width, grey=image.mode[0] in "1LIF" and image.mode != "LAB")


def fit(image: Image.Image, height: int, width: int, policy: Resize) -> Pixels:
    """Pixels [H, W, C]: `crop` cuts the longer side, `squash` stretches, `letterbox` pads.

    Bilinear and antialiased; an image that has the size already passes unchanged.
    """
    import numpy as np
    from PIL import Image, ImageOps

    if image.size != (width, height):
        if policy == "crop":
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        elif policy == "letterbox":
            image = _letterbox(image, height, width)
        else:
            image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.array(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def from_pixels(pixels: Pixels, channels: int) -> Image.Image:
    """Pixels [H, W, C] of a data set in memory as an image of so many channels."""
    from PIL import Image

    plane = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return Image.fromarray(plane).convert(MODES[channels])


def normalise(pixels: Pixels, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """Pixels [N, H, W, C] as contiguous float32 [N, C, H, W]: (pixels / 255 - mean) / std."""
    import numpy as np

    scaled = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    scaled /= np.float32(255)
    scaled -= np.asarray(mean, np.float32)[:, None, None]
    scaled /= np.asarray(std, np.float32)[:, None, None]
    return scaled


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image whose pixels are not read yet; whatever is wrong with it is a DataError."""
    from PIL import Image, UnidentifiedImageError

    _accept_large()
    start = b""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            inside = f"{typed(path)}/*.jpg"
            raise DataError("This is a folder.", where=path, hint=f"Name images in it: {inside}")
        if not stat.S_ISREG(mode):  # opening a FIFO would wait for ever
            raise DataError("Not a regular file.", where=path)
        with path.open("rb") as file:
            start = file.read(512)
            file.seek(0)
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except CnnregError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"Not an image: {_looks_like(start)}.", where=path) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"The image is too large: more than {MAX_PIXELS / 1e6:.0f} million pixels.",
            where=path,
            hint="Make it smaller.",
        ) from error
    except OSError as error:
        if is_out_of_memory(error):  # says nothing of the image
            raise
        what = f"Cannot read: {error.strerror}." if error.strerror else _damaged(error)
        raise DataError(what, where=path) from error
    except MemoryError:
        raise
    except Exception as error:  # image parsers meet hostile bytes and raise all kinds
        raise DataError(_damaged(error), where=path) from error


@cache
def _accept_large() -> None:
    """Pillow warns of half of what it refuses: of panoramas, in the middle of our lines."""
    import warnings

    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _damaged(error: Exception) -> str:
    return f"The image is damaged: {one_line(error).rstrip('.')}."


_SIGNATURES = (
    (b"version https://git-lfs", "it is a git-lfs pointer; fetch the file with `git lfs pull`"),
    (b"<!doctype html", "it is a web page"),
    (b"<html", "it is a web page"),
    (b"<svg", "it is an SVG drawing"),
    (b"<?xml", "it is an XML text"),
    (b"%!ps", "it is PostScript"),
    (b"%pdf", "it is a PDF document"),
    (b"\x89hdf", "it is an HDF5 file"),
    (b"pk\x03\x04", "it is a zip archive"),
    (b"\x1f\x8b", "it is a gzip archive"),
)


def _looks_like(start: bytes) -> str:
    if not start:
        return "the file is empty"
    if start[4:8] == b"ftyp":
        return "it is a HEIC, AVIF or video file; save it as JPEG or PNG"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    found = (kind for signature, kind in _SIGNATURES if text.startswith(signature))
    return next(found, f"it is damaged or none of {', '.join(FORMATS)}")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Pillow's own conversion would clip 16-bit grey to white."""
    import numpy as np
    from PIL import Image

    if image.mode[0] not in "IF":
        return image
    values = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)
    # By the largest alone: what was resampled is often a little below its range.
    if image.mode == "F" and values.max() < 1.01:
        return Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8))
    if image.mode == "F" and values.max() < 1.01 * 255:
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    # Of integers never by the brightest pixel, which would decide for one picture, not for all.
    sixteen = np.clip(values, 0, 65535).astype(np.uint16)
    return Image.fromarray((sixteen >> 8).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode == "LAB":  # which Pillow turns into grey only by way of RGB
        return image.convert("RGB")
    if not image.has_transparency_data:
        return image
    colour = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)


def inside(size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Width and height of a picture of that width and height, letterboxed.

    Exported files find the same in float32, so products come before quotients.
    """
    across, down = size
    return (
        max(1, round(min(width, across * height / down))),
        max(1, round(min(height, down * width / across))),
    )


def _letterbox(image: Image.Image, height: int, width: int) -> Image.Image:
    from PIL import Image

    inner = inside(image.size, height, width)
    grey = (LETTERBOX_GREY,) * len(image.getbands())
    canvas = Image.new(image.mode, (width, height), grey)
    corner = ((width - inner[0]) // 2, (height - inner[1]) // 2)
    canvas.paste(image.resize(inner, Image.Resampling.BILINEAR), corner)
    return canvas
