"""Shards of photos and captions as people have them: no caption on another photo, nothing passed over in silence."""

import gzip
import io
import os
import tarfile

import pytest
from data_makers import is_one_line, run
from reader_makers import COLORS, build, plain, put, refusal, tar

RED, BLUE = plain("red"), plain("blue")


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_a_key_that_comes_twice_is_refused_whole(tmp_path):
    twice = [("000.jpg", RED), ("000.txt", b"a red wall"), ("000.jpg", BLUE), ("000.txt", b"a blue wall")]
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", [*twice, ("1.jpg", RED), ("1.txt", b"one")]))
    assert built.captions == {"s.tar/1.jpg": ["one"]}
    assert "twice" in built.rejects["s.tar/000.jpg"]
    assert "2 captions: its key comes twice" in built.said


@pytest.mark.parametrize("order", ["photos first", "one text", "endings"])
def test_a_repeated_key_never_lends_a_caption(tmp_path, order):
    members = {
        "photos first": [("k.jpg", RED), ("k.jpg", BLUE), ("k.txt", b"red"), ("k.txt", b"blue")],
        "one text": [("k.jpg", RED), ("k.txt", b"red"), ("k.jpg", BLUE)],
        "endings": [("k.jpg", RED), ("k.txt", b"red"), ("k.png", BLUE)],
    }[order]
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", [*members, ("x.jpg", RED)]))
    assert built.captions == {"s.tar/x.jpg": []} and len(built.rejects) >= 1
    assert "not read" in built.said


@pytest.mark.parametrize("first", [True, False])
def test_the_plain_image_of_a_sample_is_its_photo(tmp_path, first):
    depth = [("7.depth.png", BLUE), ("7.seg.jpg", BLUE)]
    members = [*(depth if first else []), ("7.jpg", RED), ("7.txt", b"a red wall"), *([] if first else depth)]
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", members))
    assert built.captions == {"s.tar/7.jpg": ["a red wall"]} and built.color["s.tar/7.jpg"] == COLORS["red"]
    assert "2 images are parts of samples" in built.said


def test_names_with_dots_pair_by_what_stands_before_the_last(tmp_path):
    members = {"photo.1.jpg": RED, "photo.1.txt": b"red", "photo.2.jpg": BLUE, "photo.2.txt": b"blue"}
    members |= {"1569478414.73587.jpg": RED, "1569478414.73587.json": b'{"caption": "a time"}'}
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", members))
    assert {name[6:]: own for name, own in built.captions.items()} == {
        "photo.1.jpg": ["red"],
        "photo.2.jpg": ["blue"],
        "1569478414.73587.jpg": ["a time"],
    }


def test_webdatasets_own_key_pairs_only_where_one_photo_has_it(tmp_path):
    one = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", {"0.rgb.jpg": RED, "0.txt": b"red"}))
    assert one.captions == {"s.tar/0.rgb.jpg": ["red"]}
    members = {"0.left.jpg": RED, "0.right.jpg": BLUE, "0.txt": b"which?", "1.jpg": RED}
    two = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", members))
    assert two.captions == {"s.tar/1.jpg": []} and set(two.rejects) == {"s.tar/0.left.jpg", "s.tar/0.right.jpg"}


def test_links_in_a_tar_are_followed_and_what_cannot_be_is_told_by_name(tmp_path):
    members = [("a.jpg", RED), ("a.txt", b"red"), (link("b.jpg", "a.jpg", tarfile.LNKTYPE), b"")]
    members += [(link("d/c.jpg", "../a.jpg", tarfile.SYMTYPE), b""), (link("e.jpg", "gone.jpg", tarfile.SYMTYPE), b"")]
    members += [(link("f.jpg", "f.jpg", tarfile.SYMTYPE), b""), (link("g.jpg", "", tarfile.CHRTYPE), b"")]
    members += [(link("h.txt", "gone", tarfile.LNKTYPE), b""), ("h.jpg", BLUE)]
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", members))
    assert built.captions == {"s.tar/a.jpg": ["red"], "s.tar/b.jpg": [], "s.tar/d/c.jpg": [], "s.tar/h.jpg": []}
    assert built.color["s.tar/d/c.jpg"] == COLORS["red"]
    assert "nothing in the tar" in built.rejects["s.tar/e.jpg"] and "circle" in built.rejects["s.tar/f.jpg"]
    assert "device" in built.rejects["s.tar/g.jpg"] and "1 captions: a hard link" in built.said


def test_a_sparse_photo_is_rejected_by_name(tmp_path):
    info = tarfile.TarInfo("hole.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    path = tar(tmp_path / "s.tar", [("a.jpg", RED), (info, b"")])
    assert "sparse" in build(tmp_path, "--webdataset", path).rejects["s.tar/hole.jpg"]


def test_tars_put_end_to_end_are_read_as_both(tmp_path):
    first = tar(tmp_path / "1.tar", {"0.jpg": RED, "0.txt": b"red"}).read_bytes()
    second = tar(tmp_path / "2.tar", {"1.jpg": BLUE, "1.txt": b"blue", "0.txt": b"of none"}).read_bytes()
    (tmp_path / "s.tar").write_bytes(first + second)
    built = build(tmp_path, "--webdataset", tmp_path / "s.tar")
    assert built.captions == {"s.tar/0.jpg": ["red"], "s.tar/1.jpg": ["blue"]}
    assert built.color["s.tar/1.jpg"] == COLORS["blue"] and "1 captions" in built.said


@pytest.mark.parametrize("rest", [b"x" * 512, b"\0" * 100 + b"x" * 700, b"\0" * 512 + b"PK" * 512])
def test_data_after_the_end_that_is_no_tar_refuses_the_shard(tmp_path, rest):
    path = tar(tmp_path / "s.tar", {"0.jpg": RED})
    path.write_bytes(path.read_bytes() + rest)
    assert "s.tar: byte" in refusal(tmp_path, "--webdataset", path)


def test_what_macos_and_windows_leave_is_passed_over_and_counted(tmp_path):
    members = {"a.jpg": RED, "a.txt": b"red", "._a.jpg": b"Mac OS X", "__MACOSX/._a.txt": b"x", ".DS_Store": b"y"}
    members |= {"d/Thumbs.db": b"z", "d/._b.jpg": b"q"}
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", members))
    assert built.captions == {"s.tar/a.jpg": ["red"]} and not built.rejects
    assert "passed over     5 hidden or system files" in built.said


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_a_compressed_shard_is_refused_in_a_line_that_says_so(tmp_path, kind):
    whole = tar(tmp_path / "a.tar", {"a.jpg": RED}).read_bytes()
    magic = {"gzip": gzip.compress(whole), "zstd": b"\x28\xb5\x2f\xfd" + whole, "bzip2": b"BZh9" + whole}
    magic["xz"] = b"\xfd7zXZ\0" + whole
    (tmp_path / "s.tar").write_bytes(magic[kind])
    assert f"compressed with {kind}" in refusal(tmp_path, "--webdataset", tmp_path / "s.tar")


TEXTS = {
    "damaged JSON": ("0.json", b'{"caption": '),
    "a list": ("0.json", b"[1, 2]"),
    "another type": ("0.json", b'{"caption": {"en": 5}}'),
    "UTF-16 without a mark": ("0.txt", "a red wall".encode("utf-16-le")),
    "half of UTF-16": ("0.txt", b"\xff\xfea"),
    "not UTF-8": ("0.json", b'{"caption": "caf\xe9"}'),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_strange_text_costs_its_caption_and_never_the_build(tmp_path, case):
    members = [("0.jpg", RED), TEXTS[case], ("1.jpg", BLUE), ("1.txt", b"blue")]
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", members))
    assert built.captions == {"s.tar/0.jpg": [], "s.tar/1.jpg": ["blue"]}
    assert "not read        1 captions" in built.said and "s.tar/0." in built.said


def test_json_that_is_not_needed_is_not_parsed(tmp_path):
    members = {"0.jpg": RED, "0.txt": b"red", "0.json": b"{damaged"}
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", members))
    assert built.captions == {"s.tar/0.jpg": ["red"]} and "not read" not in built.said


def test_the_json_is_read_where_the_text_is_blank_or_damaged(tmp_path):
    members = {"0.jpg": RED, "0.txt": b" \n\xe2\x80\x8b", "0.json": b'{"caption": "red"}'}
    members |= {"1.jpg": BLUE, "1.txt": b"\0\0", "1.json": b'{"captions": ["", "blue"]}'}
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", members))
    assert built.captions == {"s.tar/0.jpg": ["red"], "s.tar/1.jpg": ["blue"]}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_text_with_a_mark_is_read_as_it_says(tmp_path, encoding):
    members = {"0.jpg": RED, "0.txt": "ein rötlicher Wall\r\nund mehr".encode(encoding)}
    built = build(tmp_path, "--webdataset", tar(tmp_path / "s.tar", members))
    assert built.captions == {"s.tar/0.jpg": ["ein rötlicher Wall\nund mehr"]}


SPLITS = {
    "cc3m-validation-0000.tar": "val",
    "TRAIN_1.tar": "train",
    "imagenet-dev.tar": "val",
    "testing.000.tar": "test",
    "val2017.tar": "val",
    "valley-00.tar": "train",
    "contest.tar": "train",
    "00000.tar": "train",
}


@pytest.mark.parametrize("name", SPLITS)
def test_a_shards_name_tells_its_split_in_whole_words(tmp_path, name):
    named = name not in ("valley-00.tar", "contest.tar", "00000.tar")
    built = build(
        tmp_path, "--webdataset", tar(tmp_path / "s" / name, {f"{i}.jpg": plain((i, 0, 0)) for i in range(3)})
    )
    expected = {SPLITS[name]} if SPLITS[name] != "train" else {"train", "test"}  # a tenth of train is drawn for test
    assert set(built.split.values()) <= expected
    assert ("name no split" not in built.said) == named


def test_folders_in_a_shard_tell_the_split_where_its_name_does_not(tmp_path):
    path = tar(tmp_path / "all.tar", {"x/val/a.jpg": RED, "x/test/b.jpg": BLUE, "x/train/c.jpg": plain("green")})
    assert {name[-5:]: split for name, split in build(tmp_path, "--webdataset", path).split.items()} == {
        "a.jpg": "val",
        "b.jpg": "test",
        "c.jpg": "train",
    }


def test_shards_are_given_as_a_folder_or_a_pattern(tmp_path):
    folder = tmp_path / "shards"
    for number in range(9, 12):
        tar(folder / "train" / f"{number:05d}.tar", {f"{number}.jpg": plain((number, 0, 0)), f"{number}.txt": b"x"})
    tar(folder / "val" / "00000.tar", {"v.jpg": BLUE})
    (folder / "train" / "._00009.tar").write_bytes(b"Mac OS X")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    tar(tmp_path / "elsewhere" / "test-0.tar", {"t.jpg": plain("green")})
    whole = build(tmp_path, "--webdataset", folder)
    assert (
        len(whole.split) == 5 and whole.split["00000.tar/v.jpg"] == "val" and whole.split["test-0.tar/t.jpg"] == "test"
    )
    for pattern, count in (("{00009..00011}", 3), ("{00009,00011}", 2), ("000*", 3), ("0000{9..9}", 1)):
        assert len(build(tmp_path, "--webdataset", folder / "train" / f"{pattern}.tar").split) == count
    assert "00012.tar: no such file" in refusal(tmp_path, "--webdataset", folder / "train" / "{00011..00012}.tar")
    assert "no .tar" in refusal(tmp_path, "--webdataset", put(tmp_path / "empty", {}))
    assert "more than" in refusal(tmp_path, "--webdataset", tmp_path / "{0..99999999}.tar")


def test_a_thousand_shards_have_a_label_that_fits_into_the_file(tmp_path):
    for number in range(1000):
        tar(
            tmp_path / "s" / f"{'long' * 20}{number:04d}.tar",
            {f"{number}.jpg": plain((number % 256, number // 256, 0))},
        )
    built = build(tmp_path, "--webdataset", tmp_path / "s", "--limit", "5")
    assert "1000 shards" in built.info.attrs["source"]


def test_a_pipe_given_as_a_shard_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "s.tar")
    done = run("--webdataset", tmp_path / "s.tar", "--out", tmp_path / "o.h5", timeout=60)
    assert is_one_line(done) and "not a regular file" in done.stderr


def test_the_command_says_in_its_summary_what_it_left_out(tmp_path):
    twice = [("k.jpg", RED), ("k.txt", b"red"), ("k.jpg", BLUE), ("x.jpg", BLUE), ("x.cr2", io.BytesIO(RED).read())]
    done = run("--webdataset", tar(tmp_path / "s.tar", twice), "--out", tmp_path / "o.h5")
    assert done.returncode == 0, done.stderr
    assert "s.tar/k.jpg,its key comes twice in the shard" in (tmp_path / "o.rejects.csv").read_text()
    assert "s.tar/x.cr2,.cr2 files are not read" in (tmp_path / "o.rejects.csv").read_text()


def test_the_folders_that_a_pattern_varies_name_splits_and_those_above_do_not(tmp_path):
    for split, color in (("train", RED), ("val", BLUE)):
        tar(tmp_path / "test" / split / "0.tar", {"photo.jpg": color})
    built = build(tmp_path, "--webdataset", tmp_path / "test" / "{train,val}" / "0.tar")
    assert built.split == {"train/0.tar/photo.jpg": "train", "val/0.tar/photo.jpg": "val"}
