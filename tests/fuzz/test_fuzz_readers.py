"""Layouts of photos and texts that no one would make on purpose: no caption on another photo, nothing lost untold.

Every caption says whose it is, so a build can be held against the names alone. Each case runs the real command.
"""

import io
import json
import tarfile
import unicodedata

import numpy as np
import pytest
from fuzzing import CASES, run, seeded
from PIL import Image

from data_prep.errors import InputError
from data_prep.h5file import describe
from data_prep.names import base, clean
from data_prep.photos import hashed_id
from data_prep.sources.coco import read_coco
from data_prep.sources.folder import read_folder
from data_prep.sources.webdataset import read_webdataset

STEMS = [
    "a",
    "A",
    "b",
    "photo.1",
    "photo.2",
    "photo",
    "000",
    "000.depth",
    "a.jpg",
    "\u00e9",
    "e\u0301",
    " a",
    "_a",
    "._a",
]
FOLDERS = ["", "", "", "train/", "val/", "images/test/", "valley/", ".git/", "@eaDir/", "a/", "train/val/"]
PHOTOS = [".jpg", ".JPG", ".jpeg", ".png", ".webp", ".jfif", ".heic", ".cr2", ""]
TEXTS = [".txt", ".txt", ".TXT", ".caption", ".json", ".json", ".jpg.txt", ".csv"]
ENCODINGS = ["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32"]
BAD = [b"", b"\0", b"\xff\xfe\xff", b"{", b"[]", b"null", b'{"caption": 5}', b"\xef\xbf\xbd", b"\r\r", b"x" * 3000]


def photo(random):
    """A photo of a color that no other one has, or seldom something that is none."""
    if random.random() < 0.1:
        return random.bytes(int(random.integers(0, 40)))
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), tuple(int(x) for x in random.integers(0, 256, 3))).save(stream, "PNG")
    return stream.getvalue()


def text(random, path, ending):
    """A text that says for whom it is; or one that says nothing."""
    if random.random() < 0.15:
        return BAD[random.integers(len(BAD))]
    said = f"of {path[: path.rindex('.')]}"
    said = json.dumps({"caption": said}) if ending == ".json" else said
    return said.encode(ENCODINGS[random.integers(len(ENCODINGS))], "replace")


def layout(random):
    """Some (path, bytes), a path perhaps twice."""
    files = []
    for _ in range(int(random.integers(2, 14))):
        folder, stem = FOLDERS[random.integers(len(FOLDERS))], STEMS[random.integers(len(STEMS))]
        if random.random() < 0.5:
            path = folder + stem + PHOTOS[random.integers(len(PHOTOS))]
            files.append((path, photo(random)))
        else:
            ending = TEXTS[random.integers(len(TEXTS))]
            files.append((folder + stem + ending, text(random, folder + stem + ending, ending)))
    return files


def alike(name):
    return unicodedata.normalize("NFC", name).casefold()


def cut(path, dot):
    folder, _, name = path.rpartition("/")
    at = name.find(".") if dot == "first" else name.rfind(".")
    return f"{folder}/" * bool(folder) + (name[:at] if at > 0 else name)


def check(captions, by_key):
    """Whether every caption is of the photo that has it, by its name."""
    for name, own in captions.items():
        for caption in own:
            if not caption.startswith("of ") or "\ufffd" in caption or "?" in caption:
                continue  # it says nothing
            said = alike(caption[3:])
            ways = {alike(name), alike(cut(name, "last"))} | ({alike(cut(name, "first"))} if by_key else set())
            names = {alike(cut(said, "first"))} if by_key else set()
            assert said in ways or names & ways, f"{caption!r} on {name!r}"
            rivals = [other for other in captions if other != name and cut(other, "last") == caption[3:]]
            assert not rivals or cut(name, "last") == caption[3:] or name == caption[3:], (
                f"{caption!r}: {name!r}, {rivals}"
            )


def write_folder(root, files):
    for path, data in files:
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        except OSError:  # a folder of that name, or a file where a folder should be
            continue
    return root


def write_tar(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def captions_of(source, prefix=""):
    return {
        item.file_name.removeprefix(prefix): [caption.decode() for caption in item.captions]
        for listed in source.photos.values()
        for item in listed
    }


def count_in(files, source):
    """That each text of the files was read, or is counted; of a folder (a dict), whose names occur once."""
    texts = [path for path in files if path.lower().endswith((".txt", ".caption"))]
    seen = [path for path in texts if not any(part.startswith((".", "@")) for part in path.split("/"))]
    read = sum(len(item.captions) > 0 for listed in source.photos.values() for item in listed)
    blank = sum(not data.decode("utf-8", "replace").strip("\ufeff\0 \r\n") for data in files.values())
    assert read + source.orphans + source.lost.total() + blank >= len(seen), (seen, source)


def read_case(kind, number, root):
    """Read one random layout by its reader, and check what came out."""
    random = seeded(f"{kind} {number}")
    files = layout(random)
    CASES["readers"] += 1
    try:
        if kind == "folder":
            source = read_folder(write_folder(root / str(number), files))
            count_in({path: data for path, data in files if (root / str(number) / path).is_file()}, source)
        elif kind == "shard":
            source = read_webdataset([write_tar(root / f"{number}.tar", files)])
        else:
            source = read_coco(write_coco(root / str(number), files, random))
    except InputError as error:
        assert "\n" not in str(error)
        return
    prefix = f"{number}.tar/" if kind == "shard" else ""
    check(captions_of(source, prefix), by_key=kind == "shard")
    if kind == "coco":
        for item in (item for listed in source.photos.values() for item in listed):
            ids = {item.image_id, *other_ids(root / str(number), item.file_name)}
            assert all(int(caption.decode().removeprefix("number ")) in ids for caption in item.captions)
    ids = [item.image_id for listed in source.photos.values() for item in listed]
    assert all(0 <= number < 2**63 for number in ids if number != hashed_id(""))


def other_ids(root, name):
    """Ids of entries whose names may mean the file of this one: a file is one photo, with all their captions."""
    found = set()
    for path in (root / "annotations").iterdir():
        for entry in json.loads(path.read_text())["images"]:
            if alike(base(clean(entry["file_name"])).strip()) == alike(base(clean(name)).strip()):
                found.add(int(float(entry["id"])))
    return found


def write_coco(root, files, random):
    """A COCO root in which ids, names and types of ids are mixed up; a caption says the name of its image."""
    (root / "annotations").mkdir(parents=True)
    for set_name in ("train2014", "val2014"):
        write_folder(root / set_name, files)
        images, annotations = [], []
        for number, (path, _) in enumerate(files):
            kinds = (number, str(number), float(number), f"{number:04d}", number % 3)
            image_id = kinds[random.integers(len(kinds))]
            spelt = (path, path.replace("/", "\\"), path.rpartition("/")[2], f"./{path}", path.upper())
            name = spelt[random.integers(len(spelt))]
            images.append({"id": image_id, "file_name": name})
            annotations.append({"image_id": number, "caption": f"number {number}"})
        (root / "annotations" / f"captions_{set_name}.json").write_text(
            json.dumps({"images": images, "annotations": annotations})
        )
    return root


@pytest.mark.parametrize("kind", ["folder", "shard", "coco"])
def test_no_layout_puts_a_caption_on_another_photo(kind, tmp_path):
    for number in range(250):
        read_case(kind, number, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "shard", "coco"])
def test_ten_thousand_layouts_put_no_caption_on_another_photo(kind, tmp_path):
    for number in range(250, 3650):
        read_case(kind, number, tmp_path)


@pytest.mark.parametrize("kind", ["folder", "shard"])
def test_the_command_ends_well_on_any_layout(kind, tmp_path, small):
    built = 0
    for number in range(40):
        random = seeded(f"command {kind} {number}")
        files, out = layout(random), tmp_path / f"{number}.h5"
        if kind == "folder":
            source = ("--folder", write_folder(tmp_path / str(number), files))
        else:
            source = ("--webdataset", write_tar(tmp_path / f"{number}.tar", files))
        outcome = run("build", *source, "--out", out, *small, name=f"{kind} {number}")
        CASES["readers"] += 1
        if outcome.code == 0:
            built += 1
            info, prefix = describe(out), f"{number}.tar/" if kind == "shard" else ""
            captions = {
                name.removeprefix(prefix): split.captions_of(i)
                for split in info.splits.values()
                for i, name in enumerate(split.file_name)
            }
            check(captions, by_key=kind == "shard")
    assert built > 20


def tables(random):
    """A captions file of a random format for the photos a.png and b.png, its columns, quotes and ends mixed up."""
    delimiter = ",\t;|"[random.integers(4)]
    names = ["a.png", "./b.png", "A.PNG", "x/a.png", "b", "gone.png", " b.png "]
    heads = [["file_name", "caption"], ["image", "caption_0", "caption_1"], ["caption", "path"], ["x", "y"], ["text"]]
    head = heads[random.integers(len(heads))]
    rows = [head] + [
        [
            names[random.integers(len(names))] if "caption" not in key and key != "text" else f"of {number}"
            for key in head
        ]
        + ["more"] * (random.random() < 0.05)
        for number in range(int(random.integers(0, 6)))
    ]
    end = ("\n", "\r\n", "\r")[random.integers(3)]
    data = end.join(delimiter.join(row) for row in rows).encode(ENCODINGS[random.integers(len(ENCODINGS))])
    if random.random() < 0.2:
        data = data[: int(random.integers(0, len(data) + 1))] + random.bytes(3)
    return (".csv", ".tsv", ".txt", ".jsonl", ".json")[random.integers(5)], data


def table_cases(numbers, root):
    folder = root / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((4, 4, 3), ord(name[0]), np.uint8)).save(folder / name)
    for number in numbers:
        ending, data = tables(seeded(f"table {number}"))
        (root / f"t{ending}").write_bytes(data)
        CASES["readers"] += 1
        try:
            source = read_folder(folder, root / f"t{ending}")
        except InputError as error:
            assert "\n" not in str(error) and f"t{ending}" in str(error)
            continue
        assert sum(map(len, source.photos.values())) == 2
        assert any(item.captions for listed in source.photos.values() for item in listed) or source.rejects or not data


def test_tables_of_any_shape_are_read_or_refused_by_name(tmp_path):
    table_cases(range(400), tmp_path)


@pytest.mark.slow
def test_thousands_of_tables_are_read_or_refused_by_name(tmp_path):
    table_cases(range(400, 3000), tmp_path)
