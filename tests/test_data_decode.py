"""A photo's pixels: equal to Pillow's own pipeline, upright, RGB, and nothing damaged gets through or gets out."""

import io
import struct
import zlib

import numpy as np
import PIL
import pytest
from data_makers import encoded, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from data_prep import decode as decode_module
from data_prep.decode import decode
from data_prep.photos import Rejected


def by_pillow(data, size=64):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS))


def png(width, height):
    """The head of a PNG that claims this size, and hardly any data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def test_the_pixels_of_real_photos_equal_pillows_own_pipeline(real_data):
    photos = sorted((real_data("coco_sample") / "val2014").glob("*.jpg"))
    assert len(photos) == 120
    for photo in photos:
        data = photo.read_bytes()
        assert np.array_equal(decode(data, 64), by_pillow(data)), photo.name


def test_fast_decode_stays_close_to_the_exact_pixels():
    data = encoded(picture(1, (640, 480)), quality=95)
    difference = np.abs(decode(data, 64, fast=True).astype(int) - decode(data, 64))
    assert 0 < difference.mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(2), exif=exif)
    assert np.array_equal(decode(data, 64), by_pillow(data))


def test_damaged_exif_leaves_the_photo_as_it_is():
    image = picture(3)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12"
    assert np.array_equal(decode(encoded(image, exif=exif), 64), by_pillow(encoded(image)))


TIFF_YCBCR = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="Pillow before 13 does not read the YCbCr TIFF that it writes"
)


@pytest.mark.parametrize(
    "kind, mode",
    [("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "1"), ("PNG", "P"), ("PNG", "L"), ("GIF", "P"), ("BMP", "RGB")]
    + [("WEBP", "RGB"), ("TIFF", "CMYK"), ("PPM", "RGB"), pytest.param("TIFF", "YCbCr", marks=TIFF_YCBCR)],
)
def test_other_color_modes_become_rgb_as_pillow_converts_them(kind, mode):
    data = encoded(picture(4, mode=mode), kind)
    assert np.array_equal(decode(data, 64), by_pillow(data))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_to_8_bits(kind):
    levels = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    found = decode(encoded(Image.fromarray(levels), kind), 64)
    assert np.array_equal(found[..., 0], np.round(levels / 257).astype(np.uint8))
    assert np.array_equal(found[..., 0], found[..., 1])


def test_what_is_transparent_shows_white_and_what_is_opaque_itself():
    image = picture(5, (64, 64), "RGBA")
    alpha = np.zeros((64, 64), np.uint8)
    alpha[:, :32] = 255
    image.putalpha(Image.fromarray(alpha))
    found = decode(encoded(image, "PNG"), 64)
    assert (found[:, 32:] == 255).all()
    assert np.array_equal(found[:, :32], np.asarray(image.convert("RGB"))[:, :32])


def test_of_an_animation_the_first_frame_is_taken():
    frames = [picture(seed, (64, 64)) for seed in (6, 7)]
    data = encoded(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:])
    assert np.array_equal(decode(data, 64), np.asarray(frames[0]))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (64, 64)])
def test_any_shape_of_photo_gives_a_square(size):
    assert decode(encoded(picture(8, size), "PNG"), 64).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "empty file"),
        (b"This is no photo.", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (png(60_000, 60_000), "absurdly large"),
        (png(12_000, 12_000), "absurdly large: 12000 x 12000"),
        (png(64, 64), "damaged"),
        (encoded(picture(9))[:900], "damaged"),
        (encoded(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF"), "floating-point"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_its_reason(data, reason):
    with pytest.raises(Rejected, match=f"^{reason}"):
        decode(data, 64)


def test_no_reader_that_runs_another_program_is_used():
    assert "EPS" not in decode_module.COMMON + decode_module.RARE


SAMPLES = [encoded(picture(10, (40, 30)), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")]


@settings(max_examples=150)
@given(st.sampled_from(SAMPLES), st.data())
def test_damage_of_any_kind_ends_in_pixels_or_a_reason(sample, draw):
    data = bytearray(sample[: draw.draw(st.integers(0, len(sample)))])
    for _ in range(draw.draw(st.integers(0, 3)) if data else 0):
        data[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        assert decode(bytes(data), 16).shape == (16, 16, 3)
    except Rejected as reason:
        assert 0 < len(str(reason)) < 300 and "\n" not in str(reason) and " at 0x" not in str(reason)
