"""What fill is given, as people have it: any photo that a build would read, captions by the same rules."""

import unicodedata

import pytest
from reader_makers import plain, put

from data_prep.errors import InputError
from inpaint.fill_captions import Captions
from inpaint.fill_inputs import find_photos

RED, BLUE = plain("red"), plain("blue")


def test_a_folders_photos_are_those_that_a_build_would_read(tmp_path):
    files = {"a.jfif": plain("red", "JPEG"), "b.avif": plain("red", "AVIF"), "c": RED, "d.pnm": plain("red", "PPM")}
    files |= {"._a.jpg": b"x", "Thumbs.db": b"y", "notes.md": b"z", "deep/e.jpg": RED, "f.cr2": b"II*\0", "g.jpe": b""}
    root = put(tmp_path / "p", files)
    (root / "h.png").symlink_to(put(tmp_path / "q", {"h.png": BLUE}) / "h.png")
    paths, rejects = find_photos([root], tmp_path / "out")
    assert [path.name for path in paths] == ["a.jfif", "b.avif", "c", "d.pnm", "g.jpe", "h.png"]
    assert [(path.name, "not read" in reason) for path, reason in rejects] == [("f.cr2", True)]


def test_captions_from_a_file_find_their_photos_as_in_a_build(tmp_path):
    name = "gr\u00fcn"
    root = put(tmp_path / "p", {f"{unicodedata.normalize('NFD', name)}.png": RED, "B.PNG": BLUE, "c.png": BLUE})
    paths = sorted(root.iterdir())
    table = f"file,caption\n{name}.png, \n{name}.png,green\nsub\\b.png,blue\nc.png,first\nc.png,second\n"
    put(tmp_path, {"t.csv": table.encode("utf-16")})
    own = Captions(paths, captions_file=tmp_path / "t.csv")
    assert {path.suffix + path.stem[:1]: own(path) for path in paths} == {
        ".pngg": "green",
        ".PNGB": "blue",
        ".pngc": "first",
    }
    assert not own.notes


def test_a_text_that_two_photos_could_own_is_neithers_and_is_told(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "a.png": BLUE, "a.txt": "which?", "b.jpg": RED, "b.jpg.txt": "b"})
    own = Captions([root / "a.jpg", root / "b.jpg"])
    assert (own(root / "a.jpg"), own(root / "b.jpg")) == ("", "b")
    assert len(own.notes) == 1 and "a.txt: a text that two photos could own" in own.notes[0]


@pytest.mark.parametrize(
    "data, caption, told",
    [
        ("a dög\r\nb".encode("utf-16"), "a dög", ""),
        (b"\n \ncaf\xe9", "caf\ufffd", "U+FFFD"),
        ("a dog".encode("utf-16-le"), "", "NUL characters"),
        (b"\xff\xfea", "", "not UTF-16"),
    ],
)
def test_no_text_beside_a_photo_becomes_a_caption_unannounced(tmp_path, data, caption, told):
    root = put(tmp_path / "p", {"a.jpg": RED, "a.txt": data})
    own = Captions([root / "a.jpg"])
    assert own(root / "a.jpg") == caption
    assert bool(own.notes) == bool(told) and all(told in note for note in own.notes)


def test_a_captions_file_of_other_photos_is_refused(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED})
    put(tmp_path, {"t.csv": "file,caption\nz.jpg,x\n"})
    with pytest.raises(InputError, match="none of these photos"):
        Captions([root / "a.jpg"], captions_file=tmp_path / "t.csv")


def test_every_doubtful_name_of_a_captions_file_is_counted(tmp_path):
    root = put(tmp_path / "p", {f"{k}/x.jpg": RED for k in "ab"} | {"a.jpg": RED})
    names = ["x.jpg", "./x.jpg", "././x.jpg", ".//x.jpg", "X.JPG"]
    put(tmp_path, {"t.csv": "file,caption\na.jpg,red\n" + "".join(f"{name},x\n" for name in names)})
    own = Captions([root / "a" / "x.jpg", root / "b" / "x.jpg", root / "a.jpg"], captions_file=tmp_path / "t.csv")
    assert own(root / "a.jpg") == "red" and len(own.notes) == 4
    assert own.notes[-1].endswith("2 more names are not used for like reasons")
