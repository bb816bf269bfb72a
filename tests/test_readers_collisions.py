"""Names, ids and members that collide: a caption stays with its photo, and each photo is there once."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from reader_makers import COLORS, build, plain, put, refusal, tar

from data_prep import names
from data_prep.decode import decode
from data_prep.files import Together
from data_prep.names import match
from data_prep.photos import Rejected
from data_prep.shards import REVISION
from inpaint.fill_inputs import find_photos

RED, BLUE, GREEN = plain("red"), plain("blue"), plain("green")


def coco(photos, captions):
    """A captions_<set>.json: {id: file name} and (id, caption) pairs."""
    images = [{"id": number, "file_name": name} for number, name in photos]
    return json.dumps({"images": images, "annotations": [{"image_id": n, "caption": c} for n, c in captions]})


@pytest.mark.parametrize(
    "asked, photos, found",
    [
        (["/data/pets/cats/1.jpg", "/data/pets/cats/2.jpg"], ["cats/2.jpg", "dogs/1.jpg"], {1: 0}),
        (["/d/cats/1.jpg", "/d/cats/2.jpg", "/d/dogs/1.jpg"], ["cats/2.jpg", "dogs/1.jpg"], {1: 0, 2: 1}),
        (["x/a.jpg", "x/b.jpg"], ["a.jpg", "x/b.jpg"], {1: 1}),
        (["test/a.jpg"], ["a.jpg", "test/b.jpg", "train/a.jpg"], {}),
        (["data/x/A.jpg"], ["x/a.jpg", "y/A.jpg"], {0: 0}),
        (["data/y/a.jpg"], ["y/a.jpg"], {0: 0}),
        (["y/a.jpg"], ["data/y/a.jpg", "a/y/b.jpg"], {0: 0}),
        (["z/a.jpg"], ["a.jpg"], {0: 0}),
        (["z/a.jpg"], ["x/a.jpg"], {0: 0}),
        (["z/a.jpg"], ["x/a.jpg", "y/a.jpg"], {}),
    ],
)
def test_folders_decide_what_a_name_means(asked, photos, found):
    assert match(asked, photos)[0] == {asked[k]: photos[at] for k, at in found.items()}


def test_matching_takes_work_by_the_names_not_their_square(monkeypatch):
    def work(count):
        done = []
        monkeypatch.setattr(names, "_folded", lambda name: done.append(1) or name.lower())
        monkeypatch.setattr(names, "split_of_path", lambda path: done.append(1))
        for asked in ("renders/{}/image.jpg", "{}/other.jpg", "gone/{}/image.jpg"):
            match([asked.format(k) for k in range(count)], [f"{k}/image.jpg" for k in range(count)])
        return len(done)

    assert work(400) < 5 * work(100)


def test_a_photo_found_by_its_exact_name_still_tells_that_its_folder_is_there(tmp_path):
    names = [(1, "cats/1.jpg"), (2, "cats/2.jpg"), (3, "dogs/3.jpg")]
    files = {"train/cats/2.jpg": RED, "train/dogs/1.jpg": GREEN, "train/dogs/3.jpg": BLUE}
    files["annotations/captions_train.json"] = coco(names, [(k, f"caption {k}") for k, _ in names])
    built = build(tmp_path, "--coco", put(tmp_path / "c", files))
    assert built.captions == {"cats/2.jpg": ["caption 2"], "dogs/3.jpg": ["caption 3"]}
    assert "cats/1.jpg" in built.rejects


def test_two_members_of_a_zip_that_a_name_may_mean_are_neither(tmp_path):
    root = put(
        tmp_path / "c", {"annotations/captions_train.json": coco([(1, "1.jpg"), (2, "2.jpg")], [(1, "a"), (2, "b")])}
    )
    with zipfile.ZipFile(root / "train.zip", "w") as archive:
        for name, data in (("train/1.jpg", RED), ("backup/train/1.jpg", GREEN), ("train/2.jpg", BLUE)):
            archive.writestr(name, data)
    built = build(tmp_path, "--coco", root)
    assert built.captions == {"2.jpg": ["b"]} and "several members" in built.rejects["1.jpg"]


def test_sets_that_number_their_own_photos_from_one_lose_none(tmp_path):
    files = {}
    for folder, shade in (("train", 10), ("val", 200)):
        names = [(k, f"{k:06}.jpg") for k in range(1, 4)]
        files |= {f"{folder}/{name}": plain((shade, k, 0)) for k, name in names}
        files[f"annotations/captions_{folder}.json"] = coco(names, [(k, f"{folder} {k}") for k, _ in names])
    built = build(tmp_path, "--coco", put(tmp_path / "c", files))
    assert sum(split.n for split in built.info.splits.values()) == 6 and not built.rejects


def test_a_file_of_several_ids_is_one_photo_with_all_their_captions(tmp_path):
    photos = [(1, "a.jpg"), (2, "b.jpg"), (3, "a.jpg"), (4, "./b.jpg")]
    files = {"train/a.jpg": RED, "train/b.jpg": BLUE}
    files["annotations/captions_train.json"] = coco(photos, [(k, f"caption {k}") for k, _ in photos])
    built = build(tmp_path, "--coco", put(tmp_path / "c", files))
    assert built.captions == {"a.jpg": ["caption 1", "caption 3"], "b.jpg": ["caption 2", "caption 4"]}
    assert "same file as image id 1" in built.rejects["a.jpg"]


def test_a_broken_webp_is_one_reject(tmp_path):
    broken = b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0"
    with pytest.raises(Rejected):
        decode(broken, 16)
    built = build(tmp_path, "--folder", put(tmp_path / "p", {"a.jpg": RED, "b.jpg": BLUE, "c.webp": broken}))
    assert set(built.rejects) == {"c.webp"}


def test_texts_and_shards_that_are_not_read_are_told(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED, "b.jpg": BLUE, "b.txt": "a sea"})
    put(tmp_path, {"c.csv": "file,caption\na.jpg,x\n"})
    said = build(tmp_path, "--folder", root, "--captions", tmp_path / "c.csv").said
    assert "1 photos have texts beside them, not read: b.txt" in said
    put(root, {"captions.txt": "image,caption\na.jpg,\n", "results.csv": "image_name| n| comment\na.jpg| 0| a wall\n"})
    assert build(tmp_path, "--folder", root).captions["a.jpg"] == ["a wall"]


@pytest.mark.parametrize("name", ["a.json", "dataset_x.json"])
def test_absurd_numbers_in_captions_are_no_traceback(name, tmp_path):
    files = {"a.jpg": RED, "b.jpg": BLUE}
    if name == "a.json":
        files[name] = json.dumps({f"caption_{'1' * 5000}": "x"})
        built = build(tmp_path, "--folder", put(tmp_path / "p", files))
    else:
        entry = {"filename": "a.jpg", "sentences": [{"raw": "red"}], "cocoid": 10**30}
        files[name] = json.dumps({"images": [entry]})
        built = build(tmp_path, "--coco", put(tmp_path / "p", files))
    assert built.color["a.jpg"] == COLORS["red"]


def test_endless_headers_of_a_tar_are_one_line(tmp_path):
    headers = b"".join(_pax() for _ in range(1500))
    (tmp_path / "s.tar").write_bytes(headers + bytes(1024))
    assert "not a whole, uncompressed tar" in refusal(tmp_path, "--webdataset", tmp_path / "s.tar")


def _pax():
    import tarfile

    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 0
    return info.tobuf(tarfile.USTAR_FORMAT)


def test_shards_of_one_absolute_path_by_a_link_are_told_apart(tmp_path):
    (tmp_path / "real" / "sub").mkdir(parents=True)
    tar(tmp_path / "x.tar", [("0.jpg", RED), ("0.txt", b"one")])
    tar(tmp_path / "real" / "x.tar", [("0.jpg", BLUE), ("0.txt", b"two")])
    (tmp_path / "link").symlink_to(tmp_path / "real" / "sub")
    built = build(tmp_path, "--webdataset", tmp_path / "x.tar", tmp_path / "link" / ".." / "x.tar")
    assert sorted(built.captions.values()) == [["one"], ["two"]]


def test_a_link_to_itself_is_a_reject_of_fill(tmp_path):
    root = put(tmp_path / "p", {"a.jpg": RED})
    (root / "loop.jpg").symlink_to("loop.jpg")
    paths, _ = find_photos([root], tmp_path / "out")
    assert [path.name for path in paths] == ["a.jpg", "loop.jpg"]  # told when it is read


def test_files_that_belong_together_are_all_moved_or_none(tmp_path, monkeypatch):
    from data_prep import files
    from data_prep.errors import InputError

    for name in "abc":
        (tmp_path / name).write_text("old")
    synced, real = [], files.os.fsync

    def full(descriptor):
        synced.append(descriptor)
        if len(synced) == 3:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(InputError, match="c: cannot be written: No space"), Together() as together:
        for name in "abc":
            together.add(tmp_path / name).write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys("abc", "old")
    monkeypatch.setattr(files.os, "fsync", real)
    with pytest.raises(InputError, match="b: cannot be written"), Together() as together:
        together.add(tmp_path / "a").write_text("new")
        together.add(tmp_path / "b")
        raise OSError(28, "No space left on device")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys("abc", "old")
    with Together() as together:
        for k in range(3000):  # more than files that may be open at once
            together.add(tmp_path / f"{k}").write_text("new")
    assert len(list(tmp_path.iterdir())) == 3003


def test_a_change_of_a_pixel_comes_with_a_new_revision():
    """An interrupted build keeps shards of its own REVISION. If this fails: raise it, and put the new hash here."""
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = np.stack([ramp, ramp.T, 255 - ramp], axis=-1)
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    found = hashlib.sha256()
    for image, options in (
        (Image.fromarray(pixels), {}),
        (Image.fromarray(ramp), {}),
        (Image.fromarray(np.dstack([pixels, ramp])), {}),
        (Image.fromarray(pixels).quantize(16), {}),
        (deep, {}),
        (deep, {"transparency": 257 * 7}),
        (Image.fromarray(pixels[:, :9]), {}),
    ):
        stream = io.BytesIO()
        image.save(stream, "PNG", **options)
        found.update(decode(stream.getvalue(), min(image.size)).tobytes())
    assert (REVISION, found.hexdigest()[:12]) == (3, "0ba8cbee2e5c")
