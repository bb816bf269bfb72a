"""Captions beside photos and in tables, damaged, odd, hostile: one line that says where, or a whole file."""

import numpy as np
import pytest
from fuzzing import CASES, damaged, failed_in_one_line, run, truncated
from hostile import FUZZ, JSON, TEXTS, VALUES, as_json, images_in, png
from hypothesis import given

from data_prep.h5file import describe


@pytest.fixture
def folder(tmp_path):
    """A folder of two good photos, a.png and b.png."""
    path = tmp_path / "photos"
    path.mkdir()
    for name in ("a.png", "b.png"):
        (path / name).write_bytes(png(name))
    return path


def test_every_text_beside_a_photo_is_kept_or_repaired(tmp_path, small):
    folder = tmp_path / "photos"
    folder.mkdir()
    texts = [text.encode("utf-8", "surrogatepass") for text in TEXTS]
    texts += [text.encode("utf-16") for text in TEXTS[:9]] + [bytes(range(256)), b"\xff\xfe\xfa", b"\r\n" * 500]
    texts += [data for _, data in damaged("é狗\U0001f600 a dog\n".encode() * 4, 60, "beside")]
    for number, text in enumerate(texts):
        (folder / f"{number}.png").write_bytes(png(chr(number)))
        (folder / f"{number}.txt").write_bytes(text)
    out, grid = tmp_path / "out.h5", tmp_path / "grid.png"
    assert run("build", "--folder", folder, "--out", out, "--preview", grid, *small, name="texts").code == 0
    CASES["captions"] += len(texts)
    info = describe(out)
    assert images_in(info) == len(texts) and grid.stat().st_size > 1000
    kept = {name: split.captions_of(i) for split in info.splits.values() for i, name in enumerate(split.file_name)}
    assert kept["0.png"] == ["a plain caption"] and kept["1.png"] == [] and kept["16.png"] == ["w" * 1_000_000]
    assert kept["18.png"][0].startswith("lone \ufffd")


def tables():
    """(name, file name, bytes) of caption tables: some good, most of them not."""
    good = {
        "jsonl": b"".join(as_json({"file_name": n, "caption": f"photo {n}"}) + b"\n" for n in ("a.png", "b.png")),
        "csv": b'file_name,caption\na.png,"a dog, ""big"""\nb.png,a cat\n',
        "tsv": b"image\tcaption\na.png\ta dog\nb.png\ta cat\n",
    }
    for ending, data in good.items():
        yield "good", f"t.{ending}", data
        for name, content in [*truncated(data, 10), *damaged(data, 12, ending)]:
            yield name, f"t.{ending}", content
        for name, content in (
            ("empty", b""),
            ("blank", b"\n\n\n"),
            ("utf-16", data.decode().encode("utf-16")),
            ("latin-1", data + b"caf\xe9"),
            ("surrogate", data + b"\xed\xa0\x80"),
            ("mark", b"\xef\xbb\xbf" + data),
            ("returns", data.replace(b"\n", b"\r")),
            ("nul", data.replace(b"dog", b"\0")),
            ("noise", np.random.default_rng(1).bytes(3000)),
            ("zip", b"PK\3\4" + data),
        ):
            yield name, f"t.{ending}", content
    for number, text in enumerate(TEXTS):
        yield f"text-{number}", "t.jsonl", as_json({"file_name": "a.png", "captions": [text, text]})
        row = text.encode("utf-8", "replace").replace(b'"', b'""')
        yield f"text-{number}", "t.csv", b'file,caption\na.png,"' + row + b'"\n'
    for number, value in enumerate(VALUES):
        yield f"caption-{number}", "t.jsonl", as_json({"file_name": "a.png", "caption": value})
        yield f"name-{number}", "t.jsonl", as_json({"file_name": value, "caption": "x"})
        yield f"line-{number}", "t.jsonl", as_json(value)
    yield "deep", "t.jsonl", b"[" * 100_000
    yield "digits", "t.jsonl", b'{"file_name": ' + b"9" * 10_000 + b"}"
    yield "columns", "t.csv", b"file,caption\n" + b"a.png," * 5000
    yield "quote", "t.csv", b'file,caption\n"a.png,' + b"x\n" * 5000
    yield "header", "t.csv", b"file,file,caption,caption\na.png,b.png,x,y\n"
    yield "ending", "t.xlsx", b"PK\3\4"


def test_a_captions_file_is_read_whole_or_refused_with_its_line(folder, build, tmp_path):
    for name, file, content in tables():
        (tmp_path / file).write_bytes(content)
        outcome, info = build("--folder", folder, "--captions", tmp_path / file, name=f"{file} {name}")
        if info is None:
            assert failed_in_one_line(outcome, file), outcome.err
        else:
            assert images_in(info) == 2, name
        assert outcome.code == 0 or name != "good"
        (tmp_path / file).unlink()


@FUZZ
@given(line=JSON, name=JSON, captions=JSON)
def test_json_lines_of_any_shape(folder, build, tmp_path, line, name, captions):
    for entry in (line, {"file_name": name, "captions": captions}, {"file_name": "a.png", "caption": captions}):
        (tmp_path / "t.jsonl").write_bytes(as_json(entry))
        outcome, info = build("--folder", folder, "--captions", tmp_path / "t.jsonl", name=repr(entry))
        assert images_in(info) == 2 if info else failed_in_one_line(outcome, "t.jsonl")
