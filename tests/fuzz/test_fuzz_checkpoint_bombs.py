"""Checkpoints that are small in the file and would be large, or take for ever, once read: one line, little memory."""

import io
import pickle
import struct
import zipfile
import zlib

import pytest
import torch
from fuzzing import CASES, failed_in_one_line, memory_limited, run, seeded

from inpaint import torch_zip
from inpaint.checkpoint_schema import SCHEMA

ROOM = 2**30  # bytes that a refusal may take; torch's own threads and caches are most of it


@pytest.fixture
def refused(tmp_path, photos):
    """See that `fill` refuses a checkpoint file in one line that has all of `words`, soon and in little memory."""

    def refused(content, name, *words):
        path, photo = tmp_path / "bomb.pt", next(photos.glob("*/*.png"))
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with memory_limited(ROOM):
            outcome = run(
                "inpaint", "fill", photo, "--checkpoint", path, "--out", tmp_path / "out", name=f"bomb {name}"
            )
        CASES["bombs"] += 1
        assert failed_in_one_line(outcome, path, *words), (name, outcome)
        assert "memory" not in outcome.err, (name, outcome.err)

    return refused


def test_a_small_checkpoint_of_a_large_model_is_refused_before_the_model_is_built(good_checkpoint, refused):
    good = {"schema": SCHEMA, **good_checkpoint}
    large = {"size": "l", "image_size": 1024, "hole": (0, 0, 1024, 1024)}
    for decoder in ("contour", "pixelcnn", "rowlstm", "diagbilstm", "gated", "pixelcnnpp", "pixelsnail", "multiscale"):
        likelihood = "categorical" if decoder == "contour" else "logistic-mixture"
        arguments = {"decoder": decoder, "likelihood": likelihood, **large}
        refused(good | {"model": arguments, "averaged": {}}, decoder, "does not fit")
    wide = {"decoder": "gated", "likelihood": "categorical", "width": 1020, "blocks": 100, "head_width": 1023}
    refused(good | {"model": good["model"] | wide}, "wide", "does not fit")


def test_tensors_that_share_their_numbers_are_no_larger_than_the_file(good_checkpoint, refused):
    good, part = {"schema": SCHEMA, **good_checkpoint}, torch.zeros(2**18)
    names = [f"weight.{number}" for number in range(3000)]
    refused(good | {"averaged": dict.fromkeys(names, part)}, "one tensor")
    refused(good | {"averaged": {name: part.view(512, 512) for name in names}}, "views of one storage")
    refused(good | {"averaged": {"a": torch.zeros(1).expand(2**40)}}, "one number told to be many")
    state = {number: {"exp_avg": part} for number in range(3000)}
    refused(good | {"optimizer": {"adamw": {"state": state, "param_groups": []}}}, "of the optimizer", "share")


def zipped(pickled, compression=zipfile.ZIP_STORED, **records):
    """A zip as torch.save writes it around a pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in {"byteorder": b"little", "version": b"3\n", **records}.items():
            archive.writestr(f"archive/{name}", content)
    return stream.getvalue()


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def called(name, argument):
    return b"\x80\x02c" + name.replace(".", "\n", 1).encode() + b"\n" + argument + b"\x85R."


def looped(first, step):
    """A pickle that makes something and then, sixty times, of the last one the next one."""
    return b"\x80\x02" + first + b"q\0" + b"".join(step(b"h" + bytes([n])) + b"q" + bytes([n + 1]) for n in range(60))


def hostile_pickles():
    """(name, pickle, words of the reason) of programs that build much, or take long, out of little."""
    tuples = looped(b")", lambda last: last + last + b"\x86")
    lists = looped(b"]", lambda last: b"](" + last * 10 + b"e")
    yield "a key of tuples of tuples", tuples + b"}h\x3cNs.", "a key that is"
    yield "lists of lists", lists + b".", "every repetition"
    yield "lists of lists as config", lists + b"}" + text(b"config") + b"h\x3cs.", "every repetition"
    yield "a list in itself", b"\x80\x02]q\0h\0a.", "itself"
    yield "a dict in itself", b"\x80\x02}q\0" + text(b"config") + b"h\0s.", "itself"
    yield "a dict in itself, deep", b"\x80\x02}q\0" + text(b"model") + b"}" + text(b"size") + b"h\0ss.", "itself"
    yield "deep lists", b"\x80\x02" + b"]" * 300_000 + b"a" * 299_999 + b".", "nested"
    yield "deep tuples", b"\x80\x02)" + b"\x85" * 300_000 + b".", "nested"
    yield "deep dicts", b"\x80\x02}" + (text(b"a") + b"}") * 20_000 + b"s" * 20_000 + b".", "nested"
    yield "marks", b"\x80\x02" + b"(" * 1_100_000, "instructions"
    yield "empty lists", b"\x80\x02(" + b"]" * 1_100_000 + b"l.", "instructions"
    yield "empty dicts", b"\x80\x02](" + b"}" * 1_100_000 + b"e.", "instructions"
    yield "a large pickle", b"\x80\x02X" + struct.pack("<I", 2**26) + bytes(2**26) + b".", "beside its tensors"
    yield "a long number", b"\x80\x02}\x8a\xff" + b"\x7f" * 255 + b"Ns.", "a number of more"
    yield "longer numbers", b"\x80\x02\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b".", "LONG4"
    same = text(b"k" * 2_000_000)
    keys = b"\x80\x02}" + same + b"q\0Ns" + same + b"q\1Ns" + b"h\0Nsh\1Ns" * 100_000 + b"."
    yield "long keys that are alike", keys, "a key that is"
    for name in ("__builtin__.bytearray", "builtins.bytearray", "torch.FloatTensor", "torch.Tensor"):
        yield f"{name} of any size", called(name, b"\x8a\x05" + struct.pack("<Q", 2**36)[:5]), name
    for name in ("collections.Counter", "__builtin__.set", "torch.Size"):
        yield name, called(name, b"]"), name
    yield "OrderedDict of a list", called("collections.OrderedDict", b"]"), "OrderedDict"
    yield "a call of a number", b"\x80\x02K\x05)R.", "no function"
    yield "a state for a list", b"\x80\x02]}b.", "a state"
    yield "a memo too far", b"\x80\x02r\xff\xff\xff\xff.", "not a whole pickle"
    rebuild, last = b"ctorch._utils\n_rebuild_tensor_v2\n", b"\x89}tR"
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpu"
    large = b"\x8a\x05\0\0\0\0\x10"
    any_size = b"\x80\x02" + rebuild + b"(" + storage + large + b"tQK\0))" + last + b"."
    yield "a storage of any size", any_size, "are not there"
    no_storage = rebuild + b"(" + storage + b"K\0tQq\2K\0"
    of_nothing = b"\x80\x02" + no_storage + large * 2 + b"\x86K\0K\0\x86" + last + b"."
    yield "a large tensor of nothing", of_nothing, "stored of it"
    many = b"\x80\x02(" + b"K\0" * 500_000 + b"tq\0" + no_storage + b"h\0h\0" + last + b"."
    yield "a tensor of many dimensions", many, "impossible"


def test_a_pickle_that_builds_much_out_of_little_is_refused(refused):
    for name, pickled, word in hostile_pickles():
        refused(zipped(pickled, **{"data/0": b""}), name, "not a checkpoint", word)


def hostile_zips(good):
    """(name, bytes) of zips that are not as torch.save writes them."""
    stream = io.BytesIO()
    torch.save(good, stream)
    whole = stream.getvalue()
    records = {info.filename: zipfile.ZipFile(stream).read(info) for info in zipfile.ZipFile(stream).infolist()}

    def again(compression=zipfile.ZIP_STORED, more=(), comment=b""):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as archive:
            for name, content in [*records.items(), *more]:
                archive.writestr(name, content)
            archive.comment = comment
        return stream.getvalue()

    yield "deflated", again(zipfile.ZIP_DEFLATED)
    yield "bzip2", again(zipfile.ZIP_BZIP2)
    yield "with a deflated bomb", zipped(pickle.dumps({}, 2), zipfile.ZIP_DEFLATED, **{"data/0": bytes(2**24)})
    yield "a deflated pickle", zipped(b"\x80\x02" + b"(" * 2**24, zipfile.ZIP_DEFLATED)
    yield "a comment", again(comment=b"hello")
    yield "something behind", whole + b"\0"
    yield "something before", b"PK\3\4" + whole
    before = io.BytesIO(b"PK\3\4" + bytes(4092))
    with zipfile.ZipFile(before, "a") as archive:  # which the offsets know of
        for name, content in records.items():
            archive.writestr(name, content)
    yield "a page before", before.getvalue()
    whole_table = whole[whole.index(b"PK\1\2") :]
    second = whole_table.index(b"PK\1\2", 4)
    overlapping = whole_table[: second + 42] + bytes(4) + whole_table[second + 46 :]
    yield "two records in one place", whole[: -len(whole_table)] + overlapping
    yield "two of one name", again(more=[("archive/version", b"4\n")])
    yield "two folders", again(more=[("other/version", b"3\n")])
    yield "many records", again(more=[(f"archive/data/x{number}", b"") for number in range(1100)])
    at = whole.index(b"PK\1\2")
    yield "a gap", whole[:at] + bytes(4096) + whole[at:]
    for number in range(60):  # every field of the table of records, and of what follows it
        spoilt, random = bytearray(whole), seeded(f"zip {number}")
        place = at + int(random.integers(46)) if number < 40 else len(whole) - 1 - int(random.integers(98))
        spoilt[place] ^= 1 << int(random.integers(8))
        yield f"bit {number}", bytes(spoilt)
    begin = whole.index(next(content for name, content in records.items() if name.endswith("data/0")))
    yield "a weight's bit", whole[:begin] + bytes([whole[begin] ^ 1]) + whole[begin + 1 :]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_torch_would_not_write_is_refused(good_checkpoint, refused, fill_outcome, monkeypatch):
    monkeypatch.setattr(torch_zip, "MOST_RECORDS", 1000)
    for name, content in hostile_zips({"schema": SCHEMA, **good_checkpoint}):
        if name.startswith("bit"):
            assert fill_outcome(content, name).code in (0, 1)
        else:
            refused(content, name)


@pytest.fixture
def fill_outcome(tmp_path, photos):
    def fill(content, name):
        path, photo = tmp_path / "zip.pt", next(photos.glob("*/*.png"))
        path.write_bytes(content)
        CASES["bombs"] += 1
        return run("inpaint", "fill", photo, "--checkpoint", path, "--samples", 1, "--out", tmp_path / "out", name=name)

    return fill


def old_formats(good):
    """(name, bytes) of files in torch's old format that tell of more than they hold."""
    stream = io.BytesIO()
    torch.save(good, stream, _use_new_zipfile_serialization=False)
    whole = stream.getvalue()
    yield "cut", whole[:-1000]
    start = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    yield "nothing more", start
    for name, pickled, _ in list(hostile_pickles())[:9]:
        yield name, start + pickled
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpu\x8a\x05\0\0\0\0\x10NtQ"
    yield "a large storage", start + b"\x80\x02" + storage + b"."
    yield "of another machine", pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + b"\x80\x02}."
    yield "compressed", zlib.compress(whole)


def test_the_old_format_is_held_to_the_same(good_checkpoint, refused):
    for name, content in old_formats({"schema": SCHEMA, **good_checkpoint}):
        refused(content, f"old {name}", "not a checkpoint")
