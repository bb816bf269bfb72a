"""Tar shards that are cut short, damaged or made to mislead: one line with the position, or a whole file."""

import io
import tarfile

import numpy as np
from fuzzing import damaged, failed_in_one_line, truncated
from hostile import VALUES, as_json, png


def header(name, size, kind=b"0"):
    """A tar header whose size field is given as its 12 bytes."""
    field = name.encode().ljust(100, b"\0") + b"0000644\0" * 3 + size + b"00000000000\0" + b" " * 8 + kind
    block = bytearray(field.ljust(257, b"\0") + b"ustar\00000".ljust(255, b"\0"))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def shards():
    stream = io.BytesIO()
    members = {"1.png": png("a"), "1.txt": b"a dog", "2.png": png("b"), "2.json": as_json({"caption": "a cat"})}
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    data = stream.getvalue()[: 512 * 20]
    yield "good", stream.getvalue()
    yield from truncated(data, 20)
    yield from damaged(data, 80, "tar", ((0, 0.06), (0.1, 0.2), (0, 1)))
    end = bytes(1024)
    for number, value in enumerate(VALUES):
        text = as_json({"caption": value})
        size = b"%011o\0" % len(text)
        yield f"json-{number}", header("1.json", size) + text.ljust(-len(text) % 512 + len(text), b"\0") + data
    yield "backwards", header("1.png", b"\xff" * 10 + b"\xfe\0") + data
    yield "backwards to itself", data[:1024] + header("3.png", b"\xff" * 10 + b"\xfa\0") + end
    yield "beyond", header("1.png", b"\x80" + b"\xff" * 11) + data
    yield "huge", header("1.png", b"\x80" + b"\0" * 3 + b"\x7f" * 8) + data
    yield "huge text", header("1.txt", b"77777777777\0") + data
    yield "long name", header("x", b"77777777777\0", b"L") + data
    yield "pax", header("x", b"00000000010\0", b"x") + b"99999999999999999999 a=b\n".ljust(512, b"\0") + data
    yield "link", header("1.png", b"00000000000\0", b"2") + data
    yield "device", header("1.png", b"00000000000\0", b"3") + data
    yield "sparse", header("1.png", b"00000000010\0", b"S") + data
    yield "empty", b""
    yield "zeros", end
    yield "gzip", b"\x1f\x8b\x08\0" + data
    yield "noise", np.random.default_rng(2).bytes(10240)


def test_a_shard_is_read_whole_or_refused_with_its_position(build, tmp_path):
    for name, content in shards():
        (tmp_path / "s.tar").write_bytes(content)
        outcome, info = build("--webdataset", tmp_path / "s.tar", name=f"tar {name}")
        assert info is not None or failed_in_one_line(outcome), outcome.err
        assert outcome.code == 0 or name != "good", outcome.err
