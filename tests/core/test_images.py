import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnreg import images
from cnnreg.errors import DataError
from cnnreg.images import Header, read_header, read_image
from helpers import picture


def saved(folder: Path, image: Image.Image, name: str = "image.png", **options) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def difference(image: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(image, np.int16) - np.asarray(other, np.int16)).max())


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.webp"])
def test_lossless_formats_come_back_exactly(tmp_path, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    image = read_image(saved(tmp_path, picture(), name, **options), 3)
    assert image.mode == "RGB"
    assert difference(image, picture()) == 0


def test_jpeg(tmp_path):
    image = read_image(saved(tmp_path, picture(), "a.JPG", quality=95), 3)
    assert (image.mode, image.size) == ("RGB", (30, 20))


@pytest.mark.parametrize("name", ["with space.png", "été.png", "圖.png", "-dash.png", "🐈.png"])
def test_unusual_names(tmp_path, name):
    assert difference(read_image(saved(tmp_path, picture(), name), 3), picture()) == 0


def test_the_extension_does_not_matter(tmp_path):
    picture().save(tmp_path / "a.jpg", format="PNG")
    assert difference(read_image(tmp_path / "a.jpg", 3), picture()) == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_grey_or_rgb(tmp_path, mode, channels):
    name = "a.png" if mode in ("1", "L", "LA", "P", "RGB", "RGBA") else "a.tif"
    source = picture() if mode != "HSV" else picture().convert("RGB")
    source = source if mode in ("YCbCr", "HSV") else source.convert(mode)
    image = read_image(saved(tmp_path, source, name), channels)
    assert image.mode == {1: "L", 3: "RGB"}[channels]
    expected = source.convert("RGB") if channels == 3 else source.convert("RGB").convert("L")
    assert difference(image, expected) <= 1


def test_one_bit_becomes_black_and_white(tmp_path):
    checks = Image.fromarray((np.indices((8, 8)).sum(0) % 2).astype(bool))
    assert set(np.unique(read_image(saved(tmp_path, checks), 1))) == {0, 255}


def test_cmyk_jpeg(tmp_path):
    image = read_image(saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "a.jpg"), 3)
    red, green, blue = np.asarray(image).mean((0, 1))
    assert red > 200 > 100 > max(green, blue)


@pytest.mark.parametrize("channels", [1, 3])
def test_lab(tmp_path, channels):
    levels = [Image.new("L", (8, 8), value) for value in (128, 128, 128)]
    pixels = np.asarray(read_image(saved(tmp_path, Image.merge("LAB", levels), "a.tif"), channels))
    assert pixels.min() > 100 and pixels.max() < 140  # half lightness, no colour


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_is_laid_on_white(tmp_path, mode):
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    clear.putpixel((0, 0), (0, 0, 0, 255))
    name = "a.png" if mode != "PA" else "a.webp"
    image = clear.convert(mode) if mode != "PA" else clear
    pixels = np.asarray(read_image(saved(tmp_path, image, name, lossless=True), 3))
    assert pixels[0, 0].max() == 0
    assert pixels[1:, 1:].min() == 255


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_is_laid_on_white(tmp_path, mode):
    image = Image.new("RGB", (8, 8), (0, 0, 0)).convert(mode)
    transparency = {"P": 0, "L": 0, "RGB": (0, 0, 0)}[mode]
    path = saved(tmp_path, image, transparency=transparency)
    assert np.asarray(read_image(path, 3)).min() == 255


def test_half_transparent(tmp_path):
    path = saved(tmp_path, Image.new("RGBA", (4, 4), (0, 0, 0, 128)))
    assert abs(int(np.asarray(read_image(path, 1))[0, 0]) - 127) <= 1


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("<u2", "a.png"), ("<u2", "a.tif"), (">u2", "a.tif"), ("<u2", "a.pgm"), ("<i4", "a.tif")],
)
def test_sixteen_bits_keep_their_upper_eight(tmp_path, dtype, name):
    ramp = np.arange(65536).reshape(256, 256).astype(dtype)
    pixels = np.asarray(read_image(saved(tmp_path, Image.fromarray(ramp), name), 1))
    assert np.array_equal(pixels, ramp.astype(np.int64) >> 8)
    assert len(np.unique(pixels)) == 256


@pytest.mark.parametrize("top", [1.0, 65535.0])
def test_floats_are_fractions_or_sixteen_bits(tmp_path, top):
    ramp = np.linspace(0, top, 65536, dtype=np.float32).reshape(256, 256)
    ramp[0, 0] = np.nan
    pixels = np.asarray(read_image(saved(tmp_path, Image.fromarray(ramp), "a.tif"), 3))
    assert len(np.unique(pixels)) >= 250
    assert (pixels.min(), pixels.max()) == (0, 255)


@pytest.mark.parametrize(("dtype", "name"), [("<u2", "a.pgm"), ("<i4", "a.tif"), ("<u2", "a.png")])
def test_one_bright_pixel_changes_no_other(tmp_path, dtype, name):
    """Else each picture of a set would have a scale of its own."""
    dim = np.full((8, 8), 250, dtype)
    bright = dim.copy()
    bright[0, 0] = 300
    read = [
        np.asarray(read_image(saved(tmp_path, Image.fromarray(p), name), 1)) for p in (dim, bright)
    ]
    assert np.array_equal(read[0][1:], read[1][1:])


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0001), (-1e-6, 1.0), (0.0, 255.5)])
def test_floats_a_little_beyond_their_range_are_cut(tmp_path, low, high):
    ramp = np.linspace(low, high, 4096, dtype=np.float32).reshape(64, 64)
    pixels = np.asarray(read_image(saved(tmp_path, Image.fromarray(ramp), "a.tif"), 1))
    assert len(np.unique(pixels)) == 256


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_exif_orientation_is_applied(tmp_path, orientation, name):
    turned = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = picture() if turned is None else picture().transpose(turned)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, stored, name, exif=exif, quality=95)
    assert difference(read_image(path, 3), picture()) <= 60  # JPEG's and WebP's colours
    assert read_image(path, 3).size == (30, 20)
    assert read_header(path) == Header(20, 30, grey=False)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_ignored(tmp_path):
    path = saved(tmp_path, picture(), "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xffgarbage")
    assert read_image(path, 3).size == (30, 20)
    assert read_header(path) == Header(20, 30, grey=False)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_the_first_frame_counts(tmp_path, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    assert np.asarray(read_image(path, 3))[4, 4].tolist() == [255, 0, 0]


def test_two_pictures_in_one_jpeg(tmp_path):
    path = saved(
        tmp_path, picture(), "a.jpg", format="MPO", save_all=True, append_images=[picture()]
    )
    assert read_image(path, 3).size == (30, 20)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html>not found</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git-lfs pointer"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (bytes(range(200)), "none of JPEG"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, words):
    path = tmp_path / "cat.jpg"
    path.write_bytes(content)
    for read in (lambda: read_image(path, 3), lambda: read_header(path)):
        with pytest.raises(DataError, match=words) as caught:
            read()
        assert caught.value.where == str(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif", "a.gif", "a.webp", "a.ppm"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, name, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError) as caught:
        read_image(path, 3)
    assert caught.value.where == str(path)


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_images_or_data_errors(tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "mutant"
    for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        buffer = io.BytesIO()
        picture().save(buffer, format=name)
        for _ in range(60):
            content = np.frombuffer(bytearray(buffer.getvalue()), np.uint8)
            places = random.integers(0, len(content), 5)
            content[places] = random.integers(0, 256, 5)
            path.write_bytes(content.tobytes())
            try:
                assert read_image(path, 3).mode == "RGB"
            except DataError as error:
                assert error.where == str(path)


def test_a_bomb_is_refused_unread(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(DataError, match="too large") as caught:
        read_image(path, 3)
    assert caught.value.hint == "Make it smaller."


@pytest.mark.filterwarnings("always")
def test_a_panorama_is_read_without_a_warning(tmp_path, monkeypatch, recwarn):
    path = saved(tmp_path, picture())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # of which Pillow refuses the double
    images._accept_large.cache_clear()
    assert read_image(path, 3).size == (30, 20)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("load", OSError("out of memory when reading image file")),
        ("load", MemoryError()),
        ("getexif", MemoryError()),
        ("convert", MemoryError()),
    ],
)
def test_a_lack_of_memory_says_nothing_of_the_image(tmp_path, monkeypatch, name, error):
    def lacking(*_):
        raise error

    path = saved(tmp_path, picture())
    monkeypatch.setattr(Image.Image, name, lacking)
    with pytest.raises(type(error)) as caught:
        read_image(path, 1)
    assert caught.value is error


def test_what_has_the_right_colours_is_not_copied(tmp_path, monkeypatch):
    """A large photograph fills much memory."""
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("copied"))
    assert difference(read_image(saved(tmp_path, picture()), 3), picture()) == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_fifo_is_never_opened(tmp_path):
    path = tmp_path / "cat.png"
    os.mkfifo(path)
    with pytest.raises(DataError, match="regular file"):
        read_image(path, 3)


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="Name images in it"):
        read_image(tmp_path, 3)
    with pytest.raises(DataError, match="No such file"):
        read_image(tmp_path / "absent.png", 3)


@pytest.mark.parametrize(
    ("mode", "grey"), [("L", True), ("1", True), ("LA", True), ("RGB", False), ("P", False)]
)
def test_the_header_tells_grey_from_colour(tmp_path, mode, grey):
    assert read_header(saved(tmp_path, picture().convert(mode))) == Header(20, 30, grey=grey)


def test_sixteen_bit_is_grey(tmp_path):
    ramp = Image.fromarray(np.zeros((4, 6), np.uint16))
    assert read_header(saved(tmp_path, ramp)) == Header(4, 6, grey=True)
