"""Photos that are damaged, odd or hostile: each is used or listed with its reason, and every good one is built."""

import csv
import io
import os
import struct
import tarfile
import zlib

import numpy as np
import pytest
from fuzzing import CASES, SIZE, damaged, run, truncated
from PIL import Image, PngImagePlugin

from data_prep.h5file import describe

KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "ppm": "PPM"}


def picture(seed=0, size=(24, 20), mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def broken(route, kinds=KINDS, cuts=16, others=40):
    """{file name: bytes}: a photo of each kind, cut short and damaged in many places, other ones for every route."""
    photos = {}
    for seed, (ending, kind) in enumerate(kinds.items()):
        data = encoded(picture(seed), kind)
        cases = [*truncated(data, cuts), *damaged(data, others, f"{route} {kind}", ((0, 1), (0, 0.1), (0.9, 1)))]
        photos |= {f"{ending}-{number}-{name}.{ending}": content for number, (name, content) in enumerate(cases)}
    return photos


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth=8, color=2, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    )


def jpeg_that_says(width, height):
    data = bytearray(encoded(picture(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp_that_says(width, height):
    data = bytearray(encoded(picture(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def odd():
    """{file name: bytes}: sizes, modes and contents that real folders hold beside plain photos; and bombs."""
    frames = [picture(seed) for seed in range(3)]
    grey16 = Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 160)
    floats = Image.fromarray(np.linspace(-1, 9, 400, dtype=np.float32).reshape(20, 20))
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 8_000_000, zip=True)
    photos = {f"mode-{mode}.png": encoded(picture(1, mode=mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA")}
    photos |= {f"mode-{mode}.jpg": encoded(picture(1, mode=mode), "JPEG") for mode in ("L", "CMYK", "YCbCr")}
    photos |= {f"mode-{mode}.tif": encoded(picture(1, mode=mode), "TIFF") for mode in ("1", "LA", "CMYK", "YCbCr", "P")}
    photos |= {f"size-{w}x{h}.png": encoded(picture(1, (w, h)), "PNG") for w, h in ((1, 1), (1, 700), (700, 1), (3, 2))}
    photos |= {f"starts-as-{ending}.{ending}": encoded(picture(), kind)[:12] for ending, kind in KINDS.items()}
    photos |= {f"says-{side}.png": png(side, side) for side in (0, 9, 20_000, 60_000, 2**31 - 1, 2**32 - 1)}
    photos |= {f"says-{side}.jpg": jpeg_that_says(side, side) for side in (0, 2000, 30_000, 65_500)}
    photos |= {f"says-{w}x{h}.bmp": bmp_that_says(w, h) for w, h in ((0, 0), (-5, 5), (40_000, 40_000), (5, -(2**31)))}
    photos |= {f"says-{side}.ppm": b"P6 %d %d 255\n123" % (side, side) for side in (0, 50_000, 10**20)}
    return photos | {
        "says-65535.gif": b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\2\1\0\0;",
        "plain.ppm": b"P3 2 2 255\n" + b"1 2 3 " * 3 + b"x y z",
        "endless.ppm": b"P6\n#" + b"#" * 100_000,
        "grey16.png": encoded(grey16, "PNG"),
        "grey16.tif": encoded(grey16, "TIFF"),
        "floats.tif": encoded(floats, "TIFF"),
        "animated.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated.png": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "animated.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "pages.tif": encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "transparent.gif": encoded(picture(1, mode="P"), "GIF", transparency=3),
        "transparent.png": encoded(picture(1, mode="P"), "PNG", transparency=3),
        "progressive.jpg": encoded(picture(1), "JPEG", progressive=True),
        "tail.jpg": encoded(picture(1), "JPEG") + bytes(1000),
        "exif.jpg": encoded(picture(1), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(99))),
        "profile.png": png(3, 1, 8, 2, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(4_000_000)))),
        "long-text.png": encoded(picture(1), "PNG", pnginfo=text),
        "a-png.jpg": encoded(picture(1), "PNG"),
        "empty.jpg": b"",
        "zeros.png": bytes(5000),
        "noise.webp": np.random.default_rng(0).bytes(5000),
        "text.jpg": "not a photo, Grüße\n".encode() * 50,
        "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
        "script.tif": b"#!/bin/sh\ntouch hacked\n",
        "vector.png": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        "postscript.bmp": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "archive.gif": b"PK\3\4" + bytes(100),
    }


def good():
    """{file name: bytes} of photos that must come through byte for byte, and their pixels."""
    images = {f"good-{seed}.png": picture(100 + seed, (SIZE, SIZE)) for seed in range(6)}
    return {name: encoded(image, "PNG") for name, image in images.items()}, images


def assert_all_accounted_for(path, names, images):
    """Each of `names` is in the file or among its rejects, never both; the good `images` are in it unchanged."""
    info = describe(path)
    pixels = {}
    whole = path.read_bytes()
    top, left, height, width = info.hole
    for split in info.splits.values():
        for i, name in enumerate(split.file_name):
            border = np.frombuffer(whole, np.uint8, SIZE * SIZE * 3, split.border_offset + i * SIZE * SIZE * 3)
            center = np.frombuffer(whole, np.uint8, height * width * 3, split.center_offset + i * height * width * 3)
            image = border.reshape(SIZE, SIZE, 3).copy()
            image[top : top + height, left : left + width] = center.reshape(height, width, 3)
            pixels[os.path.basename(name)] = image
    with open(path.with_suffix(".rejects.csv"), newline="", encoding="utf-8") as file:
        rejects = {os.path.basename(name): reason for name, reason in list(csv.reader(file))[1:]}
    written = {name.encode("utf-8", "replace").decode() for name in names}
    listed = {name.encode("utf-8", "backslashreplace").decode() for name in names}
    assert len(pixels) + len(rejects) == len(names)
    assert set(pixels) <= written and set(rejects) <= listed and not set(pixels) & set(rejects)
    for name, reason in rejects.items():
        assert reason and "\n" not in reason and len(reason) < 300 and " at 0x" not in reason, (name, reason)
    for name, image in images.items():
        assert (pixels[name] == np.asarray(image)).all(), name
    return rejects


def test_a_folder_of_broken_photos_gives_all_the_good_ones(tmp_path, small, capfd):
    contents, images = good()
    contents |= broken("folder") | odd()
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    outcome = run("build", "--folder", folder, "--out", tmp_path / "out.h5", *small, name="a folder of broken photos")
    rejects = assert_all_accounted_for(tmp_path / "out.h5", contents, images)
    CASES["photos"] += len(contents) - len(images)
    assert outcome.code == 0 and len(rejects) > 100
    assert rejects["empty.jpg"] == "empty file" and rejects["text.jpg"] == "not an image"
    for bomb in ("says-60000.png", "says-65500.jpg", "says-50000.ppm", "says-40000x40000.bmp", "says-65535.gif"):
        assert rejects[bomb].startswith("absurdly large"), rejects[bomb]
    for used in ("mode-CMYK.jpg", "grey16.png", "animated.gif", "transparent.png", "a-png.jpg", "size-1x1.png"):
        assert used not in rejects, rejects[used]
    assert capfd.readouterr().err == ""  # nor do the C libraries write a word


def test_broken_photos_in_a_tar_leave_the_rest_of_it_whole(tmp_path, small):
    contents, images = good()
    contents |= broken("tar", cuts=10, others=30)
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert run("build", "--webdataset", tmp_path / "shard.tar", "--out", tmp_path / "out.h5", *small).code == 0
    assert_all_accounted_for(tmp_path / "out.h5", contents, images)
    CASES["photos"] += len(contents) - len(images)


def test_fast_decoding_survives_the_same(tmp_path, small):
    contents, images = good()
    contents |= broken("fast", {"jpg": "JPEG"}, 30, 60)
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    out = tmp_path / "made" / "out.h5"
    assert run("build", "--folder", tmp_path, "--fast-decode", "--out", out, *small).code == 0
    assert_all_accounted_for(out, contents, images)
    CASES["photos"] += len(contents) - len(images)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX file kinds")
def test_names_and_kinds_of_files_that_no_camera_makes(tmp_path, small):
    contents, images = good()
    folder = tmp_path / "photos"
    folder.mkdir()
    odd_names = [
        " ",
        "-",
        "--out",
        "%s%n",
        "a\nb",
        "\u202egnp",
        "\U0001f600",
        "é\u0301",
        "'\"`$(x)",
        "x" * 240,
        "CON",
        "é\x7f",
    ]
    odd_files = [*(f"{name}.png" for name in odd_names), os.fsdecode(b"latin-\xe9.png")]
    contents |= {name: encoded(picture(200 + seed, (SIZE, SIZE)), "PNG") for seed, name in enumerate(odd_files)}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "pipe.png")
    (folder / "gone.png").symlink_to(folder / "nowhere")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "folder.png").mkdir()
    names = {*contents, "pipe.png", "gone.png", "loop.png"}
    assert run("build", "--folder", folder, "--out", tmp_path / "out.h5", *small).code == 0
    rejects = assert_all_accounted_for(tmp_path / "out.h5", names, images)
    CASES["photos"] += len(names) - len(images) + 1
    assert set(rejects) == {"pipe.png", "gone.png", "loop.png"}


def test_fill_leaves_out_what_it_cannot_read_and_says_so(tmp_path, checkpoint_file):
    from inpaint.filling import fill

    contents, images = good()
    contents |= broken("fill", {"jpg": "JPEG", "png": "PNG", "gif": "GIF"}, 5, 10)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    done = fill(folder, checkpoint_file, tmp_path / "out", samples=1)
    CASES["photos"] += len(contents) - len(images)
    filled = {os.path.basename(record["photo"]) for record in done.records}
    left_out = {path.name: reason for path, reason in done.rejects}
    assert filled | set(left_out) == set(contents) and not filled & set(left_out)
    assert set(images) <= filled and all(reason and "\n" not in reason for reason in left_out.values())
