"""Every source lists its photos and captions as they are, and tells by file and position what is wrong with it."""

import io
import json
import pickle
import tarfile
import zipfile

import pytest
from data_makers import coco, encoded, jpegs, picture, write_json

import data_prep.photos
from data_prep.errors import InputError
from data_prep.join import join
from data_prep.photos import Rejected, Source, hashed_id, read_bytes
from data_prep.restricted_pickle import load
from data_prep.sources.coco import read_coco
from data_prep.sources.folder import read_folder
from data_prep.sources.ift6266 import PICKLE, read_ift6266
from data_prep.sources.tables import read_captions
from data_prep.sources.webdataset import read_webdataset
from data_prep.zips import Zip


def listed(source):
    """{split: [(file name, captions)]} of a source."""
    return {
        split: [(photo.file_name, [caption.decode() for caption in photo.captions]) for photo in photos]
        for split, photos in source.photos.items()
    }


def zipped(path, root, names, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.write(root / name, name)


# COCO


@pytest.mark.parametrize("year, prefix", [("2014", "COCO_{}2014_"), ("2017", "")])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_coco_reads_the_same_from_folders_and_from_the_zips_as_downloaded(tmp_path, year, prefix, method):
    sets = {f"{split}{year}": jpegs(3, prefix.format(split)) for split in ("train", "val")}
    root, zips = coco(tmp_path / "folders", sets), tmp_path / "zips"
    zips.mkdir()
    zipped(
        zips / f"annotations_trainval{year}.zip", root, [f"annotations/captions_{name}.json" for name in sets], method
    )
    for name, photos in sets.items():
        zipped(zips / f"{name}.zip", root, [f"{name}/{photo}" for photo in photos], method)
    from_folders, from_zips = read_coco(root), read_coco(zips)
    assert listed(from_folders) == listed(from_zips)
    assert len(from_zips.photos["train"]) == len(from_zips.photos["val"]) == 3
    for split in ("train", "val"):
        for photo in from_zips.photos[split]:
            assert read_bytes(photo.where) == sets[f"{split}{year}"][photo.file_name]


def test_coco_keeps_what_is_good_of_a_messy_set(tmp_path):
    root = coco(tmp_path / "messy", {"train": jpegs(4)})
    images = [{"id": 5, "file_name": "p0000.jpg"}, {"id": 6, "file_name": "p0001.jpg"}]
    images += [{"id": 5, "file_name": "p0002.jpg"}, {"id": 7, "file_name": "gone.jpg"}]
    images += [{"id": 8, "file_name": "../annotations/captions_train.json"}]
    annotations = [{"image_id": 6, "caption": "second"}, {"image_id": 99, "caption": "of none"}]
    annotations += [{"image_id": 6, "caption": "a lone \ud83d surrogate, שלום 🐈"}]
    write_json(root, "train", {"images": images, "annotations": annotations})
    source = read_coco(root)
    expected = [("p0000.jpg", []), ("p0001.jpg", ["second", "a lone \ufffd surrogate, שלום 🐈"])]
    assert listed(source)["train"] == expected
    assert (source.orphans, source.repaired) == (1, 1)
    reasons = dict(source.rejects)
    assert reasons["p0002.jpg"].startswith("duplicate image id: 5")
    assert reasons["gone.jpg"] == "no such file"
    assert "out of the folder" in reasons["../annotations/captions_train.json"]


def test_coco_leaves_out_a_set_without_photos_and_says_so(tmp_path):
    root = coco(tmp_path / "coco", {"val2014": jpegs(1)})
    write_json(root, "train2014", {"images": [{"id": 1, "file_name": "x.jpg"}], "annotations": []})
    source = read_coco(root)
    assert len(source.photos["val"]) == 1 and not source.photos["train"]
    assert "neither train2014/ nor train2014.zip" in source.warnings[0]


@pytest.mark.parametrize(
    "content, complaint",
    [
        (b'{"images": [\n  {"id": 1 2}]}', "line 2, column 12"),
        (b'{"images": [], "annotations": [\xff]}', "line 1, byte 31: not UTF-8"),
        (b"", "line 1, column 1"),
        (b"[" * 200_000, "nested too deep"),
        (b"1" * 5000, "line 1"),
        (b"[]", "expected an object, found a list"),
        (b'{"images": {}}', "images: expected a list, found an object"),
        (b'{"images": [{"id": "", "file_name": "a"}], "annotations": []}', "images[0].id: expected an integer"),
        (b'{"images": [{"id": true, "file_name": "a"}], "annotations": []}', "images[0].id: expected an integer"),
        (b'{"images": [{"id": 1.5, "file_name": "a"}], "annotations": []}', "images[0].id: expected an integer"),
        (b'{"images": [{"id": 99999999999999999999, "file_name": "a"}], "annotations": []}', "does not fit in 64 bits"),
        (b'{"images": [{"id": 1, "file_name": null}], "annotations": []}', "images[0].file_name: expected a string"),
        (
            b'{"images": [], "annotations": [{"image_id": 1, "caption": 7}]}',
            "annotations[0].caption: expected a string",
        ),
        (b'{"images": [], "annotations": [{"caption": "a"}]}', "annotations[0]: no 'image_id'"),
        (b'{"images": []}', "no 'annotations'"),
    ],
)
def test_malformed_coco_json_is_told_by_file_and_position(tmp_path, content, complaint):
    root = coco(tmp_path / "coco", {"train": {}})
    (root / "annotations" / "captions_train.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_coco(root)
    assert "captions_train.json" in str(error.value) and complaint in str(error.value)


def test_a_zip_member_too_large_once_unpacked_is_called_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(data_prep.photos, "MAX_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(2**20 + 1))
        archive.writestr("b.jpg", bytes(2**20))
    found, _ = Zip(tmp_path / "a.zip").locate(["a.jpg", "b.jpg"], "a")
    with pytest.raises(Rejected, match="absurdly large file: more than 1 MiB unpacked"):
        read_bytes(found["a.jpg"])
    assert read_bytes(found["b.jpg"]) == bytes(2**20)


def test_a_damaged_zip_is_told_by_name(tmp_path):
    root = coco(tmp_path / "coco", {"train": jpegs(2)})
    zipped(root / "train.zip", root, ["train/p0000.jpg"])
    (root / "train.zip").write_bytes((root / "train.zip").read_bytes()[:-30])
    for name in ("p0000.jpg", "p0001.jpg"):
        (root / "train" / name).unlink()
    (root / "train").rmdir()
    with pytest.raises(InputError, match=r"train\.zip: not a whole zip"):
        read_coco(root)


# The course's archive and its pickle


class _Malicious:
    def __reduce__(self):
        import os

        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(6))
def test_no_instruction_of_a_malicious_pickle_runs(tmp_path, protocol):
    if protocol > pickle.HIGHEST_PROTOCOL:
        pytest.skip("no such protocol")
    trap = _Malicious()
    trap.folder = str(tmp_path / "it_ran")
    path = tmp_path / PICKLE
    path.write_bytes(pickle.dumps({"COCO_train2014_000000000009": ["a cat", trap]}, protocol))
    with pytest.raises(InputError, match=r"byte \d+: .*refused"):
        load(path)
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("value", [(1,), 1.5, None, True, b"bytes", {1}, frozenset(), bytearray(), complex(1), len])
def test_a_pickle_may_hold_dict_list_str_and_int_alone(tmp_path, value):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "p").write_bytes(pickle.dumps([value], protocol))
        with pytest.raises(InputError, match="refused"):
            load(tmp_path / "p")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_honest_pickle_of_any_protocol_is_read(tmp_path, protocol):
    content = {"a": ["caption", "Grüße 🐈", "caption"], "numbers": [1, -5, 2**40, 2**70]}
    (tmp_path / "p").write_bytes(pickle.dumps(content, protocol))
    assert load(tmp_path / "p") == content


def test_a_pickle_cut_at_any_byte_is_told_in_one_line(tmp_path):
    whole = pickle.dumps({"COCO_train2014_000000000009": ["a", "b" * 300], "n": [2**70]})
    for length in range(len(whole)):
        (tmp_path / "p").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"^.*p: byte \d+: "):
            load(tmp_path / "p")


def test_a_pickle_of_hostile_memo_numbers_does_not_fill_the_memory(tmp_path):
    (tmp_path / "p").write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")  # memoize as number 2**31 - 1
    assert load(tmp_path / "p") == []


def test_ift6266_reads_photos_and_pythons_2_and_3_pickles(tmp_path):
    for folder in ("train2014", "val2014"):
        (tmp_path / folder).mkdir()
        for number in (9, 25):
            (tmp_path / folder / f"COCO_{folder}_{number:012d}.jpg").write_bytes(encoded(picture(number)))
    python2 = b"(dp0\nS'COCO_train2014_000000000009'\np1\n(lp2\nS'caf\\xc3\\xa9'\np3\nasS'gone'\n(lS'x'\naS'y'\nas."
    (tmp_path / PICKLE).write_bytes(python2)
    source = read_ift6266(tmp_path)
    assert listed(source)["train"] == [
        ("COCO_train2014_000000000009.jpg", ["café"]),
        ("COCO_train2014_000000000025.jpg", []),
    ]
    assert [photo.image_id for photo in source.photos["val"]] == [9, 25]
    assert source.orphans == 2
    for content in (["a"], {"a": "b"}, {"a": [1]}, {1: ["a"]}):
        (tmp_path / PICKLE).write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match="expected|not str"):
            read_ift6266(tmp_path)
    long = "x" * 10_000
    (tmp_path / PICKLE).write_bytes(pickle.dumps({str(i): [long, long] for i in range(99)}))
    with pytest.raises(InputError, match="longer"):
        read_ift6266(tmp_path)


# Folders


def test_a_folder_is_read_with_its_splits_and_texts(tmp_path):
    for name in ("b.jpg", "a.PNG", "validation/c.jpeg", "test/deep/d.webp", "other/e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"not looked at yet")
    (tmp_path / "b.txt").write_bytes("\ufeffone\r\n\r\n two \n".encode())
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "notes.pdf").write_bytes(b"")
    source = read_folder(tmp_path)
    assert listed(source) == {
        "train": [("a.PNG", ["caf\ufffd"]), ("b.jpg", ["one", "two"]), ("other/e.jpg", [])],
        "val": [("validation/c.jpeg", [])],
        "test": [("test/deep/d.webp", [])],
    }
    assert source.repaired == 1
    assert source.photos["train"][1].image_id == hashed_id("b.jpg") in range(2**63)


TABLES = {
    "c.jsonl": '{"file_name": "a.jpg", "caption": "one"}\n\n{"image": "x/b.jpg", "captions": ["two", "3"]}\n'
    '{"file": "b.jpg", "text": "four"}\n{"file_name": "gone.jpg", "caption": "five"}\n',
    "c.csv": '\ufeffimage,caption\na.jpg,one\nx/b.jpg,two\nb.jpg,"3"\nb.jpg,four\ngone.jpg,five\n',
    "c.tsv": "caption\tsplit\tfilename\none\t-\ta.jpg\ntwo\t-\tb.jpg\n3\t-\tb.jpg\nfour\t-\tb.jpg\nfive\t-\tgone.jpg\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_captions_come_from_one_file_too(tmp_path, name):
    (tmp_path / "x").mkdir()
    for photo in ("a.jpg", "x/b.jpg"):
        (tmp_path / photo).write_bytes(b"")
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    source = read_folder(tmp_path, tmp_path / name)
    assert listed(source)["train"] == [("a.jpg", ["one"]), ("x/b.jpg", ["two", "3", "four"])]
    assert source.rejects == [("gone.jpg", "no such file")] and source.orphans == 1


@pytest.mark.parametrize(
    "name, content, complaint",
    [
        ("c.jsonl", b'{"file_name": "a", "caption": "b"}\n{"file_name": "a"\n', "line 2, column 18"),
        ("c.jsonl", b'{"file_name": "a", "caption": "b"}\n"\xff"\n', "line 2, byte 1: not UTF-8"),
        ("c.jsonl", b"[]\n", "line 1: expected an object"),
        ("c.jsonl", b'{"caption": "b"}\n', "line 1: no 'file_name'"),
        ("c.jsonl", b'{"file_name": "a", "caption": 5}\n', "line 1: 'caption' is neither"),
        ("c.csv", b"file_name,caption\na,b\na,b,c\n", "line 3: 3 columns"),
        ("c.csv", b'file_name,caption\na,"b\n', "line 2: unexpected end of data"),
        ("c.csv", b"a.jpg,a cat\n", "line 1: needs columns"),
        ("c.csv", b"", "line 1: needs columns"),
        ("c.csv", b"file_name,caption\na,\xff\n", "line 2, byte 20: not UTF-8"),
        ("c.tsv", b"file_name\tcaption\na b\n", "line 2: 1 columns"),
        ("c.xml", b"", "read from .jsonl, .csv or .tsv"),
    ],
)
def test_a_malformed_captions_file_is_told_by_line(tmp_path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read_captions(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name)) and complaint in str(error.value)


def test_a_caption_may_be_a_megabyte_and_hold_anything(tmp_path):
    caption = "\0 🐈 שלום " * 100_000
    line = json.dumps({"file_name": "a.jpg", "caption": caption}) + "\n"
    (tmp_path / "c.jsonl").write_text(line)
    assert read_captions(tmp_path / "c.jsonl").captions == {"a.jpg": [caption]}


# WebDataset


def tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_webdataset_shards_are_read_in_place(tmp_path):
    photos = [encoded(picture(seed)) for seed in range(5)]
    first = {"000.jpg": photos[0], "000.txt": b"zero\n", "000.json": b'{"caption": "not this"}', "001.jpg": photos[1]}
    first |= {"001.json": b'{"caption": "one", "width": 5}', "002.txt": b"of none", "003.jpg": photos[2]}
    first |= {"003.json": b'{"caption": null}'}
    shards = [tar(tmp_path / "00000.tar", first), tar(tmp_path / "val-0.tar", {"d/000.v2.jpg": photos[3]})]
    source = read_webdataset(shards)
    assert listed(source) == {
        "train": [("00000.tar/000.jpg", ["zero"]), ("00000.tar/001.jpg", ["one"]), ("00000.tar/003.jpg", [])],
        "val": [("val-0.tar/d/000.v2.jpg", [])],
        "test": [],
    }
    assert source.orphans == 1
    assert [read_bytes(photo.where) for photo in source.photos["train"] + source.photos["val"]] == photos[:4]


def test_a_damaged_tar_is_told_by_file_and_position(tmp_path):
    whole = tar(tmp_path / "a.tar", {"0.jpg": b"x" * 700, "1.jpg": b"y" * 700}).read_bytes()
    damaged = {length: whole[:length] for length in (0, 100, 512, 900, 1536, 1700, 2100, 2800, 3072)}
    damaged["header"] = whole[:1600] + b"\xff" * 40 + whole[1640:]
    for data in damaged.values():
        (tmp_path / "a.tar").write_bytes(data)
        with pytest.raises(InputError, match=r"a\.tar: byte \d+: "):
            read_webdataset([tmp_path / "a.tar"])


# Joining


def test_sources_are_joined_in_order_and_a_tenth_becomes_test():
    def source(start):
        made = Source("some")
        made.photos["train"] = [make_photo(number) for number in range(start, start + 1000)]
        return made

    def make_photo(number):
        from data_prep.photos import Photo

        return Photo(f"{number}.jpg", number, (), ())

    joined = join([source(5000), source(0)])
    ids = {split: [photo.image_id for photo in photos] for split, photos in joined.photos.items()}
    assert sorted(ids["train"] + ids["test"]) == sorted([*range(1000), *range(5000, 6000)])
    order = [*range(5000, 6000), *range(1000)]
    assert ids["train"] == [number for number in order if number not in set(ids["test"])]
    assert 150 < len(ids["test"]) < 250
    assert set(ids["test"]) & set(range(1000)) == {photo.image_id for photo in join([source(0)]).photos["test"]}
    with_test = source(0)
    with_test.photos["test"] = [make_photo(1_000_000)]
    assert {split: len(photos) for split, photos in join([source(5000), with_test]).photos.items()} == {
        "train": 2000,
        "val": 0,
        "test": 1,
    }
    assert len(join([source(0)], limit=7).photos["train"]) == 7
