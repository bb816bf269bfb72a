"""Folders of photos as people have them: sidecars, links, hidden files, splits, and one photo in two places."""

import os
import unicodedata

import pytest
from data_makers import is_one_line, run
from reader_makers import build, plain, put, refusal

from data_prep.names import match
from data_prep.pairing import pair

RED, BLUE, GREEN = plain("red"), plain("blue"), plain("green")


def test_one_text_that_two_photos_could_own_is_neithers(tmp_path):
    root = put(
        tmp_path / "p", {"image.jpg": RED, "image.png": BLUE, "image.txt": "which?", "x.jpg": GREEN, "x.txt": "x"}
    )
    built = build(tmp_path, "--folder", root)
    assert built.captions == {"image.jpg": [], "image.png": [], "x.jpg": ["x"]}
    assert "1 captions: a text that two photos could own (image.txt)" in built.said
    put(root, {"image.jpg.txt": "the red one"})
    assert build(tmp_path, "--folder", root).captions["image.jpg"] == ["the red one"]


def test_names_with_dots_keep_their_own_captions(tmp_path):
    files = {"photo.1.jpg": RED, "photo.1.txt": "one", "photo.2.jpg": BLUE, "photo.2.txt": "two", "photo.txt": "none"}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert built.captions == {"photo.1.jpg": ["one"], "photo.2.jpg": ["two"]}
    assert "1 captions: a text beside no photo (photo.txt)" in built.said


def test_a_text_beside_a_photo_is_no_list_of_a_split(tmp_path):
    """Flickr8k's lists are named Flickr_8k.testImages.txt; latestimages.txt ends alike."""
    files = {"latestimages.jpg": RED, "latestimages.txt": "the latest"}
    assert build(tmp_path, "--folder", put(tmp_path / "p", files)).captions == {"latestimages.jpg": ["the latest"]}


def test_sidecars_of_other_names_are_read(tmp_path):
    files = {
        "a.jpg": RED,
        "a.jpg.txt": "a\nb",
        "b.jpg": BLUE,
        "b.caption": "c",
        "c.jpg": GREEN,
        "c.json": '{"text": "d"}',
    }
    files |= {"d.jpg": plain((1, 2, 3)), "d.txt": "first", "d.caption": "second", "d.json": "{damaged"}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert built.captions == {"a.jpg": ["a", "b"], "b.jpg": ["c"], "c.jpg": ["d"], "d.jpg": ["first"]}


def test_texts_that_nobody_owns_and_tables_that_nobody_asked_for_are_counted(tmp_path):
    files = {"a.jpg": RED, "notes.txt": "x", "b.txt": "y", "info.json": "{}", "words.csv": "a,b\n", "run.py": "pass"}
    said = build(tmp_path, "--folder", put(tmp_path / "p", files)).said
    assert "2 captions: a text beside no photo" in said and "1 captions: a text beside no photo, JSON" in said
    assert "1 tables were not read; --captions FILE reads one: words.csv" in said
    assert "1 files are neither photos nor captions" in said


MARKED = {"utf-8-sig": "ä b", "utf-16": "ä b", "utf-16-le": None, "utf-32": "ä b", "latin-1": "\ufffd b"}


@pytest.mark.parametrize("encoding", MARKED)
def test_no_text_becomes_a_caption_unannounced(tmp_path, encoding):
    root = put(tmp_path / "p", {"a.jpg": RED, "a.txt": "ä b\rc\r\nd\n".encode(encoding)})
    built = build(tmp_path, "--folder", root)
    if MARKED[encoding] is None:
        assert built.captions == {"a.jpg": []} and "1 captions: NUL characters in it" in built.said
    else:
        assert built.captions == {"a.jpg": [MARKED[encoding], "c", "d"]}
    assert ("not Unicode     1 captions" in built.said) == (encoding == "latin-1")


def test_nul_and_earlier_repairs_in_captions_are_counted(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "a.json": '{"captions": ["nul \\u0000 here", "caf\ufffd", "good"]}'})
    built = build(tmp_path, "--folder", root)
    assert built.captions["a.jpg"] == ["nul \ufffd here", "caf\ufffd", "good"]
    assert "not Unicode     2 captions" in built.said


def test_links_are_followed_once_and_circles_end(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "sub/b.jpg": BLUE})
    other = put(tmp_path / "other", {"c.jpg": GREEN, "c.txt": "linked", "deep/d.jpg": plain((9, 9, 9))})
    (root / "linked").symlink_to(other)
    (root / "sub" / "up").symlink_to(root)
    (other / "back").symlink_to(root / "sub")
    (root / "again").symlink_to(root / "sub")
    (root / "e.jpg").symlink_to(other / "c.jpg")
    (root / "broken.jpg").symlink_to(tmp_path / "nothing.jpg")
    built = build(tmp_path, "--folder", root)
    assert set(built.captions) == {"a.jpg", "sub/b.jpg", "linked/c.jpg", "linked/deep/d.jpg", "e.jpg"}
    assert built.captions["linked/c.jpg"] == ["linked"]
    assert built.rejects == {"broken.jpg": "a link to a file that is not there"}
    assert "3 links to folders read already" in built.said


def test_hidden_and_system_folders_are_passed_over_and_counted(tmp_path):
    hidden = (".ipynb_checkpoints", "@eaDir", ".Trash-1000", "__MACOSX", ".git")
    files = {f"{folder}/a.jpg": BLUE for folder in hidden} | {"sub/._a.jpg": b"x", "a.jpg": RED, ".DS_Store": b"y"}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert set(built.captions) == {"a.jpg"} and "passed over     7 hidden or system files and folders" in built.said
    assert "@eaDir" in built.said


SPLITS = {
    "images/val/x.jpg": "val",
    "Validation/deep/x.jpg": "val",
    "dev_set/x.jpg": "val",
    "data/testing/x.jpg": "test",
    "train2014/x.jpg": "train",
    "test/train/x.jpg": "test",
    "valley/x.jpg": "train",
    "trainers/x.jpg": "train",
    "train_val/x.jpg": "train",
    "latest/x.jpg": "train",
    "val_x.jpg": "train",
}


def test_splits_are_whole_words_of_the_folders_at_any_depth(tmp_path):
    files = {name: plain((number, 0, 0)) for number, name in enumerate(SPLITS)}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert built.split == SPLITS
    assert "5 folders name no split, so their 5 photos are in train" in built.said and "valley" in built.said


def test_a_split_that_is_stated_holds_all_of_its_source(tmp_path):
    files = {
        f"{folder}/{number}.jpg": plain((number, len(folder), 0)) for number in range(30) for folder in ("a", "test")
    }
    first, second = put(tmp_path / "p", files), put(tmp_path / "q", {"z.jpg": RED})
    for split in ("train", "val", "test"):
        built = build(tmp_path, "--split", split, "--folder", first, "--folder", second)
        assert {name: own for name, own in built.split.items() if name != "z.jpg"} == dict.fromkeys(files, split)
    done = run("--folder", first, "--split", "val", "--out", tmp_path / "o.h5")
    assert done.returncode == 2 and "--split val needs a source behind it" in done.stderr


def test_the_same_photo_in_two_splits_is_kept_in_one_and_told(tmp_path):
    files = {"train/a.jpg": RED, "val/b.jpg": RED, "test/c.jpg": RED, "train/d.jpg": BLUE, "val/e.jpg": BLUE}
    files |= {"train/f.jpg": GREEN, "train/g.jpg": GREEN, "train/f.txt": "f", "train/a.txt": "unheard"}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert set(built.split) == {"test/c.jpg", "val/e.jpg", "train/f.jpg", "train/g.jpg"}
    assert built.captions["train/f.jpg"] == ["f"] and "unheard" not in built.info.vocabulary
    assert (
        built.rejects["train/a.jpg"]
        == built.rejects["val/b.jpg"]
        == "in two splits: test/c.jpg of test is the same photo"
    )
    assert "left out        3: in two splits" in built.said


def test_no_photo_that_is_twice_in_train_gets_into_the_drawn_test_split(tmp_path):
    files = {f"{half}/{number}.png": plain((number, 0, 0)) for number in range(60) for half in "ab"}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    test = {built.color[name] for name, split in built.split.items() if split == "test"}
    assert test and not test & {built.color[name] for name, split in built.split.items() if split == "train"}


def test_equal_names_of_two_sources_have_distinct_numbers(tmp_path):
    first, second = put(tmp_path / "p", {"a.jpg": RED}), put(tmp_path / "q", {"a.jpg": BLUE, "b.jpg": GREEN})
    info = build(tmp_path, "--folder", first, "--folder", second).info
    ids = [int(number) for split in info.splits.values() for number in split.image_id]
    assert len(ids) == 3 == len(set(ids))
    alone = build(tmp_path, "--folder", first).info
    assert [int(n) for split in alone.splits.values() for n in split.image_id][0] in ids  # the first source's stays


KINDS = {
    "a.jfif": "JPEG",
    "b.jpe": "JPEG",
    "c.avif": "AVIF",
    "d.jp2": "JPEG2000",
    "e.pgm": "PPM",
    "f.pnm": "PPM",
    "g.apng": "PNG",
    "h.dib": "DIB",
    "i.J2K": "JPEG2000",
    "no_ending": "PNG",
    "wrong.gif": "WEBP",
    "photo.dat": "JPEG",
    "photo.psd": "PNG",
}


@pytest.mark.parametrize("source", ["folder", "ift6266", "captions"])
def test_every_photo_is_read_by_its_content(tmp_path, source):
    files = {name: plain((200, 10 * number, 0), kind) for number, (name, kind) in enumerate(KINDS.items())}
    if source == "ift6266":
        import pickle

        root = put(tmp_path / "p", {f"train2014/{name}": data for name, data in files.items()})
        captions = {os.path.splitext(name)[0]: ["x"] for name in files if not name.startswith("photo")}
        put(root, {"dict_key_imgID_value_caps_train_and_valid.pkl": pickle.dumps(captions)})
        built = build(tmp_path, "--ift6266", root)
        assert all(built.captions[name] == ["x"] for name in files if not name.startswith("photo"))
    elif source == "captions":
        put(tmp_path, {"c.csv": "file,caption\n" + "".join(f"{name},x\n" for name in files)})
        built = build(tmp_path, "--folder", put(tmp_path / "p", files), "--captions", tmp_path / "c.csv")
        assert set(map(tuple, built.captions.values())) == {("x",)}
    else:
        built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert set(built.captions) == set(files) and not built.rejects
    near = {name: abs(built.color[name][0] - 200) < 12 or name == "e.pgm" for name in files}
    assert all(near.values()), near


def test_photos_of_no_format_that_is_read_are_listed(tmp_path):
    files = {"a.jpg": RED, "b.CR2": b"II*\0" + bytes(99), "c.svg": b"<svg/>", "d.jxl": b"\xff\x0a", "e.heic": b"x"}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert set(built.captions) == {"a.jpg"} and set(built.rejects) == {"b.CR2", "c.svg", "d.jxl", "e.heic"}


def test_a_folder_that_may_not_be_entered_is_listed(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "locked/b.jpg": BLUE})
    (root / "locked").chmod(0)
    try:
        if os.access(root / "locked", os.R_OK):
            pytest.skip("this user may enter any folder")
        assert "Permission denied" in build(tmp_path, "--folder", root).rejects["locked/"]
    finally:
        (root / "locked").chmod(0o755)


def test_composed_and_decomposed_names_are_one(tmp_path):
    name = "gr\u00fcn"
    root = put(tmp_path / "p", {f"{unicodedata.normalize('NFD', name)}.jpg": GREEN, f"{name}.txt": "green"})
    assert list(build(tmp_path, "--folder", root).captions.values()) == [["green"]]
    (root / f"{name}.txt").unlink()
    put(tmp_path, {"c.csv": f"file,caption\n{name}.jpg,green\n"})
    assert list(build(tmp_path, "--folder", root, "--captions", tmp_path / "c.csv").captions.values()) == [["green"]]


MATCHES = {  # asked -> the photo, or None
    "exact": (["a.jpg"], ["a.jpg", "A.jpg", "x/a.jpg"], {"a.jpg": "a.jpg"}),
    "slashes": (["x\\a.jpg"], ["x/a.jpg", "y/a.jpg"], {"x\\a.jpg": "x/a.jpg"}),
    "blanks": ([" ./x//a.jpg "], ["x/a.jpg"], {" ./x//a.jpg ": "x/a.jpg"}),
    "base name": (["C:\\data\\a.jpg"], ["x/a.jpg"], {"C:\\data\\a.jpg": "x/a.jpg"}),
    "case": (["A.JPG"], ["x/a.jpg"], {"A.JPG": "x/a.jpg"}),
    "several": (["a.jpg"], ["x/a.jpg", "y/a.jpg"], {"a.jpg": None}),
    "several by case": (["A.jpg"], ["a.jpg", "a.JPG"], {"A.jpg": None}),
    "folders tell": (["/of/x/val/a.jpg"], ["val/a.jpg", "train/a.jpg"], {"/of/x/val/a.jpg": "val/a.jpg"}),
    "another split": (["train/a.jpg"], ["val/a.jpg"], {"train/a.jpg": None}),
    "its own and another": (["x/a.jpg", "y/a.jpg"], ["x/a.jpg"], {"x/a.jpg": "x/a.jpg", "y/a.jpg": None}),
    "two for one": (["x/a.jpg", "y/a.jpg"], ["z/a.jpg"], {"x/a.jpg": None, "y/a.jpg": None}),
    "two spellings": (["x/a.jpg", "a.jpg"], ["x/a.jpg"], {"x/a.jpg": "x/a.jpg", "a.jpg": "x/a.jpg"}),
}


@pytest.mark.parametrize("case", MATCHES)
def test_a_name_means_one_photo_or_none(case):
    asked, names, expected = MATCHES[case]
    found, refused = match(asked, names)
    assert {name: found.get(name) for name in asked} == expected
    assert set(found) | set(refused) == set(asked) and not set(found) & set(refused)


def test_a_text_pairs_across_case_and_two_that_differ_in_case_alone_do_not():
    assert pair(["A.JPG"], ["a.txt"]).own == {"A.JPG": ["a.txt"]}
    assert pair(["A.jpg", "a.jpg"], ["a.txt"]).own == {"a.jpg": ["a.txt"]}
    assert not pair(["a.jpg"], ["a.txt", "a.TXT"]).own


def test_blank_captions_are_dropped_before_the_first_is_chosen(tmp_path):
    files = {"a.jpg": RED, "a.txt": " \n\u200b\nreal\n", "b.jpg": BLUE, "b.json": '{"captions": ["", "\\t", "real"]}'}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert built.captions == {"a.jpg": ["real"], "b.jpg": ["real"]}
    put(tmp_path, {"c.csv": "file,caption\na.jpg,\na.jpg, \na.jpg,real\nb.jpg,\n"})
    built = build(tmp_path, "--folder", tmp_path / "p", "--captions", tmp_path / "c.csv")
    assert built.captions == {"a.jpg": ["real"], "b.jpg": []}


def test_a_folders_json_is_read_where_the_text_is_blank_or_damaged(tmp_path):
    files = {"0.jpg": RED, "0.txt": " \n\u200b", "0.json": '{"caption": "red"}'}
    files |= {"1.jpg": BLUE, "1.txt": "\0\0", "1.json": '{"captions": ["", "blue"]}'}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert built.captions == {"0.jpg": ["red"], "1.jpg": ["blue"]}


def test_a_captions_file_of_other_photos_ends_the_build(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED})
    put(tmp_path, {"c.csv": "file,caption\nz.jpg,x\n", "d.jsonl": ""})
    done = run("--folder", root, "--captions", tmp_path / "c.csv", "--out", tmp_path / "o.h5")
    assert is_one_line(done) and "c.csv: none of its names is a photo" in done.stderr
    assert "none of its names" in refusal(tmp_path, "--folder", root, "--captions", tmp_path / "d.jsonl")
    put(root, {"metadata.csv": "file_name,text\nq.jpg,x\n"})
    assert "metadata.csv: none of its names" in refusal(tmp_path, "--folder", root)
