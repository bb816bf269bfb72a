"""Caption files as data sets and tools write them: each photo gets its own captions, in their order."""

import json
import re
import zipfile

import pytest
from data_makers import coco, is_one_line, run, write_json
from reader_makers import build, plain, put, refusal

from data_prep.sources.tables import read_captions

RED, BLUE, GREEN = plain("red"), plain("blue"), plain("green")
PHOTOS = {"a.jpg": RED, "b.jpg": BLUE}
BOTH = {"a.jpg": ["a cat, asleep", "a cat"], "b.jpg": ["a dog"]}

TABLES = {
    "token.txt": "a.jpg#0\ta cat, asleep\na.jpg#1\ta cat\nb.jpg#0\ta dog\n",
    "results_20130124.token": "a.jpg#0\ta cat, asleep\na.jpg#1\ta cat\nb.jpg#0\ta dog\n",
    "captions.txt": 'image,caption\na.jpg,"a cat, asleep"\na.jpg,a cat\nb.jpg,a dog\n',
    "bare.txt": "image,caption\na.jpg,a cat, asleep\na.jpg,a cat\nb.jpg,a dog\n",
    "results.csv": "image_name| comment_number| comment\na.jpg| 0| a cat, asleep\na.jpg| 1| a cat\nb.jpg| 0| a dog\n",
    "semicolon.csv": 'file;caption\na.jpg;"a cat, asleep"\na.jpg;a cat\nb.jpg;a dog\n',
    "excel.csv": 'Filename,Caption\r\na.jpg,"a cat, asleep"\r\na.jpg,a cat\r\nb.jpg,a dog\r\n',
    "returns.csv": 'file,caption\ra.jpg,"a cat, asleep"\ra.jpg,a cat\rb.jpg,a dog\r',
    "columns.csv": 'image,caption_1,caption_0\na.jpg,a cat,"a cat, asleep"\nb.jpg,,a dog\n',
    "lists.csv": 'raw,filename\n"[""a cat, asleep"", ""a cat""]",a.jpg\n"[""a dog""]",b.jpg\n',
    "tab.tsv": "file\tcaption\na.jpg\ta cat, asleep\na.jpg\ta cat\nb.jpg\ta dog\n",
    "tab.csv": "file\tcaption\na.jpg\ta cat, asleep\na.jpg\ta cat\nb.jpg\ta dog\n",
    "lines.jsonl": '{"image": "a.jpg", "text": ["a cat, asleep", "a cat"]}\r\n{"image": "b.jpg", "text": "a dog"}\r\n',
    "returns.jsonl": '{"image": "a.jpg", "text": ["a cat, asleep", "a cat"]}\r{"image": "b.jpg", "text": "a dog"}',
    "object.json": json.dumps({"a.jpg": ["a cat, asleep", "a cat"], "b.jpg": "a dog"}),
    "list.json": json.dumps([{"path": "p/a.jpg", "captions": BOTH["a.jpg"]}, {"path": "p/b.jpg", "caption": "a dog"}]),
    "captions_val.json": json.dumps(
        {
            "images": [{"id": "1", "file_name": "a.jpg"}, {"id": 2.0, "file_name": "b.jpg"}],
            "annotations": [
                {"image_id": 1, "caption": "a cat, asleep"},
                {"image_id": 2, "caption": "a dog"},
                {"image_id": 1.0, "caption": "a cat"},
            ],
        }
    ),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_a_captions_file_of_any_format_and_encoding(tmp_path, name, encoding):
    put(tmp_path, {name: TABLES[name].encode(encoding)})
    built = build(tmp_path, "--folder", put(tmp_path / "p", PHOTOS), "--captions", tmp_path / name)
    assert built.captions == BOTH and not built.rejects


@pytest.mark.parametrize("name", TABLES)
def test_a_captions_file_that_is_not_unicode_is_refused_by_name(tmp_path, name):
    root = put(tmp_path / "p", PHOTOS)
    for data in (TABLES[name].replace("cat", "k\xe4t").encode("latin-1"), TABLES[name].encode("utf-16-le")):
        put(tmp_path, {name: data})
        line = refusal(tmp_path, "--folder", root, "--captions", tmp_path / name)
        assert name in line and ("not UTF-8" in line or "NUL" in line)


def test_flickr8ks_lists_beside_its_tokens_are_its_splits(tmp_path):
    photos = {f"Images/{name}.jpg": plain((number, 0, 0)) for number, name in enumerate("abcd")}
    files = {"Flickr8k.token.txt": "".join(f"{name}.jpg#{k}\t{name} {k}\n" for name in "abcd" for k in range(5))}
    files |= {"Flickr_8k.trainImages.txt": "a.jpg\nb.jpg\n", "Flickr_8k.devImages.txt": "c.jpg\r\n"}
    files |= {"Flickr_8k.testImages.txt": "d.jpg"}
    root = put(tmp_path / "flickr", photos | files)
    for source in (("--folder", root), ("--folder", root / "Images", "--captions", root / "Flickr8k.token.txt")):
        built = build(tmp_path, *source)
        assert {name[-5]: split for name, split in built.split.items()} == dict(
            zip("abcd", ("train", "train", "val", "test"), strict=True)
        )
        assert all(own == [f"{name[-5]} {k}" for k in range(5)] for name, own in built.captions.items())


def test_flickr30ks_table_with_its_broken_line_costs_that_caption(tmp_path):
    put(
        tmp_path,
        {"results.csv": TABLES["results.csv"] + 'b.jpg| 4   A dog runs across the grass .\nb.jpg| 1| "quoted\n'},
    )
    built = build(tmp_path, "--folder", put(tmp_path / "p", PHOTOS), "--captions", tmp_path / "results.csv")
    assert (
        built.captions["b.jpg"] == ["a dog", '"quoted'] and "1 captions: a line without all its columns" in built.said
    )


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_hugging_faces_folders_of_images(tmp_path, ending):
    files = {}
    for split, names in {"train": "ab", "validation": "ac"}.items():
        rows = [{"file_name": f"{name}.jpg", "text": f"{split} {name}"} for name in names]
        table = (
            "\n".join(map(json.dumps, rows))
            if ending == "jsonl"
            else "file_name,text\n" + "".join(f"{row['file_name']},{row['text']}\n" for row in rows)
        )
        files |= {f"{split}/{name}.jpg": plain((len(split), ord(name), 0)) for name in names}
        files[f"{split}/metadata.{ending}"] = table
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert built.captions == {
        f"{split}/{name}.jpg": [f"{split} {name}"]
        for split, name in (("train", "a"), ("train", "b"), ("validation", "a"), ("validation", "c"))
    }


def test_kaggles_captions_beside_its_folder_of_images(tmp_path):
    files = {f"Images/{name}": data for name, data in PHOTOS.items()} | {"captions.txt": TABLES["captions.txt"]}
    built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    assert built.captions == {f"Images/{name}": own for name, own in BOTH.items()}


KARPATHY = {
    "dataset": "coco",
    "images": [
        {"filepath": "val2014", "filename": "a_1.jpg", "cocoid": 1, "split": "test", "sentences": [{"raw": "one"}]},
        {"filepath": "val2014", "filename": "a_2.jpg", "cocoid": 2, "split": "restval", "sentences": [{"raw": "two"}]},
        {"filepath": "train2014", "filename": "b_3.jpg", "cocoid": 3, "split": "val", "sentences": [{"raw": "3"}] * 2},
    ],
}


@pytest.mark.parametrize("way", ["coco", "folder"])
def test_karpathys_splits(tmp_path, way):
    photos = {"val2014/a_1.jpg": RED, "val2014/a_2.jpg": BLUE, "train2014/b_3.jpg": GREEN}
    root = put(tmp_path / "p", photos | {"dataset_coco.json": json.dumps(KARPATHY)})
    built = build(tmp_path, f"--{way}", root)
    assert built.split == {"val2014/a_1.jpg": "test", "val2014/a_2.jpg": "train", "train2014/b_3.jpg": "val"}
    assert built.captions["train2014/b_3.jpg"] == ["3", "3"]
    assert way == "folder" or built.id == {"val2014/a_1.jpg": 1, "val2014/a_2.jpg": 2, "train2014/b_3.jpg": 3}


@pytest.mark.parametrize(
    "name, content",
    [
        ("t.json", "[[1]]"),
        ("t.json", '{"a.jpg": 5}'),
        ("t.json", '{"images": [{"filename": 3}]}'),
        ("t.json", '{"images": 3}'),
        ("t.json", '"x"'),
        ("t.txt", "just words\n"),
        ("t.txt", "a.jpg#0\tx\nno token\n"),
        ("t.csv", "a,b,c\n1,2,3\n"),
        ("t.csv", 'file,caption\na.jpg,"x'),
        ("t.pdf", "x"),
    ],
)
def test_a_captions_file_of_no_format_is_refused_with_its_place(tmp_path, name, content):
    put(tmp_path, {name: content})
    assert name in refusal(tmp_path, "--folder", put(tmp_path / "p", PHOTOS), "--captions", tmp_path / name)


# COCO


def test_an_id_with_two_file_names_has_captions_of_neither(tmp_path):
    root = coco(tmp_path / "c", {"val2014": {"a.jpg": RED, "b.jpg": BLUE, "c.jpg": GREEN}})
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": "1", "file_name": "b.jpg"}, {"id": 2, "file_name": "c.jpg"}]
    annotations = [{"image_id": 1, "caption": "which?"}, {"image_id": 2, "caption": "green"}]
    write_json(root, "val2014", {"images": images, "annotations": annotations})
    built = build(tmp_path, "--coco", root)
    assert built.captions == {"a.jpg": [], "c.jpg": ["green"]}
    assert "of a.jpg too, so the captions of neither are used" in built.rejects["b.jpg"]
    assert "1 captions: of an id with two file names" in built.said


def test_ids_of_text_and_with_decimal_points(tmp_path):
    root = coco(tmp_path / "c", {"val2014": {"a.jpg": RED, "b.jpg": BLUE, "c.jpg": GREEN}})
    images = [
        {"id": "0001", "file_name": "a.jpg"},
        {"id": 2.0, "file_name": "b.jpg"},
        {"id": "x-3", "file_name": "c.jpg"},
    ]
    annotations = [
        {"image_id": 1, "caption": "red"},
        {"image_id": "2", "caption": "blue"},
        {"image_id": "x-3", "caption": "c"},
    ]
    write_json(root, "val2014", {"images": images, "annotations": annotations})
    built = build(tmp_path, "--coco", root)
    assert built.captions == {"a.jpg": ["red"], "b.jpg": ["blue"], "c.jpg": ["c"]}
    assert (built.id["a.jpg"], built.id["b.jpg"]) == (1, 2)


def test_cocos_photos_below_images_and_photos_that_no_json_names(tmp_path):
    root = coco(tmp_path / "c", {"val2014": {"a.jpg": RED, "b.jpg": BLUE}})
    put(root, {"val2014/extra.png": GREEN})
    (root / "images").mkdir()
    (root / "val2014").rename(root / "images" / "val2014")
    built = build(tmp_path, "--coco", root)
    assert set(built.captions) == {"a.jpg", "b.jpg"} and "1 photos are in no captions file" in built.said


def test_captions_of_no_photo_end_the_build(tmp_path):
    root = coco(tmp_path / "c", {"val2014": {"a.jpg": RED}})
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 9, "caption": "x"}]}
    write_json(root, "val2014", content)
    done = run("--coco", root, "--out", tmp_path / "o.h5")
    assert is_one_line(done) and "none of its captions is of a photo" in done.stderr


def test_a_photo_in_two_of_cocos_sets_is_kept_once(tmp_path):
    names = {"train2014": "COCO_train2014_000000000042.jpg", "val2014": "COCO_val2014_000000000042.jpg"}
    root = coco(tmp_path / "c", {name: {photo: RED} for name, photo in names.items()})
    for set_name, photo in names.items():
        annotations = [{"image_id": 42, "caption": set_name}]
        write_json(root, set_name, {"images": [{"id": 42, "file_name": photo}], "annotations": annotations})
    built = build(tmp_path, "--coco", root)
    assert built.captions == {names["val2014"]: ["val2014"]}
    assert built.rejects == {names["train2014"]: f"in two splits: {names['val2014']} of val has its id"}


@pytest.mark.parametrize("spelt", ["train2014\\grün.jpg", "grün.jpg", "x/train2014/grün.jpg", "TRAIN2014/GRÜN.JPG"])
def test_zips_of_any_spelling(tmp_path, spelt):
    root = coco(tmp_path / "c", {"train2014": {"grün.jpg": GREEN}})
    (root / "train2014" / "grün.jpg").unlink()
    (root / "train2014").rmdir()
    with zipfile.ZipFile(root / "train2014.zip", "w") as archive:
        archive.writestr(spelt, GREEN)
        archive.writestr("__MACOSX/train2014/._grün.jpg", b"x")
    built = build(tmp_path, "--coco", root)
    assert list(built.captions.values()) == [["Photo 1, said 0.", "Photo 1, said 1."]]


def test_a_zip_whose_names_are_utf8_and_do_not_say_so(tmp_path):
    root = coco(tmp_path / "c", {"train2014": {"grün.jpg": GREEN}})
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("train2014/grXYn.jpg", GREEN)
    data = (tmp_path / "t.zip").read_bytes().replace(b"grXYn", "grün".encode())
    (root / "train2014" / "grün.jpg").unlink()
    (root / "train2014").rmdir()
    (root / "train2014.zip").write_bytes(data)
    assert len(build(tmp_path, "--coco", root).captions) == 1
    (root / "train2014.zip").write_bytes(data.replace("grün".encode(), "gr\u00fcnx".encode("cp437")))
    write_json(root, "train2014", {"images": [{"id": 1, "file_name": "grünx.jpg"}], "annotations": []})
    assert len(build(tmp_path, "--coco", root).captions) == 1


def test_annotations_that_unpack_to_gigabytes_are_refused(tmp_path, monkeypatch):
    import data_prep.sources.coco as module

    monkeypatch.setattr(module, "LARGEST_JSON", 10_000)
    root = coco(tmp_path / "c", {"train2014": {"a.jpg": RED}})
    path = root / "annotations" / "captions_train2014.json"
    path.write_bytes(path.read_bytes() + b" " * 20_000)
    assert "too large" in refusal(tmp_path, "--coco", root)
    with zipfile.ZipFile(root / "annotations.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "annotations/captions_train2014.json")
    path.unlink()
    assert re.search("annotations.zip/.*absurdly large", refusal(tmp_path, "--coco", root))


def test_an_earlier_table_keeps_the_splits_that_it_names(tmp_path):
    put(tmp_path, {"c.csv": "file,caption,split\na.jpg,x,val\nb.jpg,y,test\n"})
    assert read_captions(tmp_path / "c.csv").splits == {"a.jpg": "val", "b.jpg": "test"}


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_photo_of_cocos_that_a_folder_has_too_is_kept_once(tmp_path, split):
    root = coco(tmp_path / "c", {"val2014": {"COCO_val2014_000000000001.jpg": RED}})
    folder = put(tmp_path / "p", {f"{split}/red.jpg": RED, f"{split}/blue.jpg": BLUE})
    built = build(tmp_path, "--coco", root, "--folder", folder)
    assert sorted(built.color.values()) == sorted([(255, 0, 0), (0, 0, 255)] + [(255, 0, 0)] * (split == "val"))


def test_a_pipe_in_place_of_a_captions_file_is_told_and_does_not_hang(tmp_path):
    import os

    root = put(tmp_path / "p", PHOTOS)
    os.mkfifo(tmp_path / "c.csv")
    assert "is a pipe" in refusal(tmp_path, "--folder", root, "--captions", tmp_path / "c.csv")
    other = coco(tmp_path / "c", {"val2014": {"a.jpg": RED}})
    os.mkfifo(other / "annotations.zip")
    assert "is a pipe" in refusal(tmp_path, "--coco", other)
    (other / "annotations.zip").unlink()
    (other / "annotations" / "captions_val2014.json").unlink()
    os.mkfifo(other / "annotations" / "captions_val2014.json")
    assert "is a pipe" in refusal(tmp_path, "--coco", other)


def test_a_folders_photo_beside_drawn_scenes_is_compared_too(tmp_path):
    """One shard holds photos of several sources."""
    folder = put(tmp_path / "p", {"train/red.jpg": RED, "val/red.jpg": RED})
    options = ("--folder", folder, "--demo", "--limit", "3", "--image-size", "64")
    out = tmp_path / "o.h5"
    assert run(*options, "--out", out).returncode == 0
    assert "in two splits" in out.with_suffix(".rejects.csv").read_text()
