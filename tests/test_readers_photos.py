"""Photos whose metadata is odd, damaged or huge are read for their pixels; those that would fill the memory are not."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from data_makers import encoded, picture
from PIL import Image, PngImagePlugin
from reader_makers import plain

from data_prep import decode as decode_module
from data_prep.decode import decode
from data_prep.photos import Rejected

PHOTO = picture(3, (40, 40))


def png_with(kind, content, crc=None, before=b"IDAT"):
    """The PHOTO as a PNG with one more chunk, before the first chunk of a kind."""
    data = encoded(PHOTO, "PNG")
    chunk = kind + content
    crc = zlib.crc32(chunk) if crc is None else crc
    at = data.index(before) - 4
    return data[:at] + struct.pack(">I", len(content)) + chunk + struct.pack(">I", crc) + data[at:]


ODD_PNGS = {
    "a megabyte of text": png_with(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 3_000_000)),
    "a megabyte of profile": png_with(b"iCCP", b"icc\0\0" + zlib.compress(b"x" * 3_000_000)),
    "a wrong checksum of a text": png_with(b"tEXt", b"Comment\0hello", crc=5),
    "a wrong checksum behind the pixels": png_with(b"tEXt", b"Comment\0hello", crc=5, before=b"IEND"),
    "a damaged profile": png_with(b"iCCP", b"icc\0\0not zlib"),
    "a text that is none": png_with(b"iTXt", b"\0\0\0"),
    "a time that is none": png_with(b"tIME", b"", crc=1),
}


@pytest.mark.parametrize("case", ODD_PNGS)
def test_metadata_never_decides_over_pixels(case):
    assert np.array_equal(decode(ODD_PNGS[case], 16), decode(encoded(PHOTO, "PNG"), 16))


def test_a_wrong_checksum_of_pixels_is_still_a_reject():
    data = bytearray(ODD_PNGS["a wrong checksum of a text"])
    data[data.index(b"IDAT") + 20] ^= 1
    with pytest.raises(Rejected, match="damaged"):
        decode(bytes(data), 16)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [0, 5, 60_000])
def test_exif_and_profiles_of_noise_leave_the_photo_readable(kind, size):
    noise = np.random.default_rng(size).bytes(size)
    for options in ({"exif": b"Exif\0\0" + noise}, {"icc_profile": noise or b"x"}):
        data = encoded(PHOTO, kind, **options)
        assert decode(data, 16).shape == (16, 16, 3)


def test_damaged_segments_of_a_jpeg_do_not_cost_it():
    whole = encoded(PHOTO, "JPEG", quality=95)
    for marker in range(0xE1, 0xF0):
        for content in (
            b"",
            b"MPF\0",
            b"MPF\0II*\0\xff\xff\xff\xff",
            b"ICC_PROFILE\0",
            b"Photoshop 3.0\0" + b"8BIM" * 9,
            b"Adobe",
        ):
            if marker == 0xEE and content == b"Adobe":
                continue
            segment = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
            assert np.array_equal(decode(whole[:2] + segment + whole[2:], 16), decode(whole, 16)), (marker, content)


def test_a_pngs_orientation_outlives_its_broken_text():
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    data = encoded(PHOTO, "PNG", exif=exif)
    at = data.index(b"IDAT") - 4
    broken = data[:at] + struct.pack(">I", 2) + b"tEXtxx" + bytes(4) + data[at:]
    assert np.array_equal(decode(broken, 16), decode(data, 16))
    assert not np.array_equal(decode(data, 16), decode(encoded(PHOTO, "PNG"), 16))


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "PPM", "DIB"])
def test_formats_beyond_the_common_are_read_by_content(kind):
    near = decode(plain((200, 30, 60), kind, size=(20, 20)), 16).reshape(-1, 3).mean(0)
    assert np.abs(near - (200, 30, 60)).max() < 4


def test_an_animated_png_is_its_first_picture():
    stream = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    assert (decode(stream.getvalue(), 8) == (255, 0, 0)).all()


def test_heic_is_read_with_its_package_and_named_without(monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    image = Image.new("RGB", (64, 64), (200, 30, 60))
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, format="HEIF")
    near = decode(stream.getvalue(), 16).reshape(-1, 3).mean(0)
    assert np.abs(near - (200, 30, 60)).max() < 4
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Rejected, match=r"pip install inpaint-from-caption\[heic\]"):
        decode(stream.getvalue(), 16)


def test_avif_without_a_pillow_that_reads_it_is_named(monkeypatch):
    data = plain("red", "AVIF", size=(16, 16))
    monkeypatch.setattr(Image, "OPEN", {name: own for name, own in Image.OPEN.items() if name != "AVIF"})
    monkeypatch.setattr(decode_module.Image, "init", lambda: None)
    with pytest.raises(Rejected, match="AVIF, which this Pillow does not read"):
        decode(data, 16)


BOMBS = {  # mode, size: what a small file may unpack to
    "16-bit grey": ("I;16", (10_000, 10_000)),
    "transparent": ("RGBA", (10_000, 10_000)),
    "wide": ("RGB", (100_000, 1_000)),
    "too many pixels": ("L", (10_001, 10_000)),
    "a strip": ("L", (1, 100_000_000)),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BOMBS)
def test_a_small_file_never_takes_a_gigabyte(tmp_path, case):
    mode, size = BOMBS[case]
    Image.MAX_IMAGE_PIXELS = None
    Image.new(mode, size).save(tmp_path / "bomb.png", compress_level=9)
    program = (
        "import resource, sys\n"
        "from data_prep.decode import decode\n"
        "from data_prep.photos import Rejected\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    decode(open(sys.argv[1], 'rb').read(), 64)\n"
        "except Rejected as reason:\n"
        "    print(reason)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "bomb.png"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *said, mebibytes = done.stdout.split("\n")[:-1]
    assert int(mebibytes) < 1000, done.stdout
    assert bool(said) == (case == "too many pixels"), said


def test_sixteen_bit_grey_and_transparency_convert_in_strips_as_in_one(monkeypatch):
    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(0, 65536, (37, 41)).astype(np.uint16))
    clear = Image.fromarray(rng.integers(0, 256, (37, 41, 4), np.uint8))
    palette = PHOTO.quantize(16)
    for image, options in ((grey, {}), (clear, {}), (palette, {"transparency": 3}), (PHOTO.convert("LA"), {})):
        data = encoded(image, "PNG", **options)
        whole = decode(data, 16)
        monkeypatch.setattr(decode_module, "STRIP", 100)
        assert np.array_equal(decode(data, 16), whole)
        monkeypatch.undo()


def test_the_reason_of_a_reject_is_that_of_the_photo_as_it_came():
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "b")
    data = encoded(PHOTO, "PNG", pnginfo=text)
    with pytest.raises(Rejected) as first:
        decode(data[: data.index(b"IDAT") + 30], 16)
    assert str(first.value).startswith("damaged: ")
