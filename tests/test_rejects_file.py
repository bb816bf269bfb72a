"""FILE.rejects.csv: names that are harmless in a spreadsheet and a shell, and still lead to their files."""

import csv
import json
import os

from data_makers import encoded, picture, run

from data_prep.build import FORMULA, as_path

NAMES = [
    "=1+1.jpg",
    "+2.jpg",
    "-rf.jpg",
    "@sum.jpg",
    "\tx.jpg",
    "\uff1dwide.jpg",
    "=cmd|' C'!A0/x.jpg",
    "plain.jpg",
    "a=b.jpg",
]


def test_names_that_begin_a_formula_stay_paths_to_their_files(tmp_path):
    """Whoever reads the file and opens each name in the source's folder finds the photo."""
    source, out = tmp_path / "photos", tmp_path / "out.h5"
    for name in NAMES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"no photo: " + name.encode())
    (source / "good.jpg").write_bytes(encoded(picture()))
    done = run("--folder", source, "--out", out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    with open(out.with_name("out.rejects.csv"), newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "reason"] and len(rows) == 1 + len(NAMES)
    for name, reason in rows[1:]:
        assert not name.startswith(FORMULA) and not reason.startswith(FORMULA)
        assert (source / name).read_bytes() == b"no photo: " + os.path.normpath(name).encode()
    assert {os.path.normpath(name) for name, _ in rows[1:]} == set(NAMES)
    assert {name for name, _ in rows[1:]} >= {"plain.jpg", "a=b.jpg", "./=1+1.jpg", "./-rf.jpg"}


def test_a_name_with_nul_is_told_on_every_python(tmp_path):
    """COCO's JSON may name anything; csv of Python 3.10 cannot write NUL."""
    root = tmp_path / "coco"
    for folder in ("train2014", "annotations"):
        (root / folder).mkdir(parents=True)
    (root / "train2014" / "a.png").write_bytes(encoded(picture(), "PNG"))
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b\0c.png"}]
    annotations = [{"id": number, "image_id": number, "caption": "a cat"} for number in (1, 2)]
    text = json.dumps({"images": images, "annotations": annotations})
    (root / "annotations" / "captions_train2014.json").write_text(text)
    done = run("--coco", root, "--out", tmp_path / "out.h5", "--workers", 1)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "out.rejects.csv").read_text()
    assert "b\\x00c.png," in rows and "\0" not in rows


def test_every_beginning_that_a_spreadsheet_acts_on_is_covered():
    for first in ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"):
        assert as_path(f"{first}x") == f"./{first}x"
    assert as_path("./x") == "./x" and as_path("x=-1") == "x=-1" and as_path("") == ""
