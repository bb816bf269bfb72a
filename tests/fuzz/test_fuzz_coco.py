"""COCO's JSON and zips, damaged, odd, hostile: one line that says where, or a whole file."""

import copy
import zipfile

import pytest
from fuzzing import damaged, failed_in_one_line, truncated
from hostile import FUZZ, JSON, TEXTS, VALUES, as_json, images_in, png
from hypothesis import given

COCO = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
    "annotations": [{"image_id": 1, "caption": "a dog"}, {"image_id": 2, "caption": "a cat"}],
}
PLACES = [("images",), ("images", 0), ("images", 0, "id"), ("images", 0, "file_name"), ("annotations",)]
PLACES += [("annotations", 0), ("annotations", 0, "image_id"), ("annotations", 0, "caption")]


def with_value(place, value):
    content = copy.deepcopy(COCO)
    inner = content
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return content


@pytest.fixture
def coco(tmp_path):
    """A COCO root with the two photos and no captions yet."""
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    (root / "train2014").mkdir()
    for name in ("a.png", "b.png"):
        (root / "train2014" / name).write_bytes(png(name))
    return root


def coco_texts():
    data = as_json(COCO)
    for place in PLACES:
        for number, value in enumerate(VALUES):
            yield f"{place} {number}", as_json(with_value(place, value))
    for number, text in enumerate(TEXTS):
        yield f"text-{number}", as_json(with_value(("annotations", 0, "caption"), text))
    for number, value in enumerate(VALUES):
        yield f"whole-{number}", as_json(value)
    yield "twice", as_json(with_value(("images", 1, "id"), 1))
    yield "deep", b'{"images": ' + b"[" * 100_000
    yield from truncated(data, 12)
    yield from damaged(data, 50, "coco")


def test_coco_json_is_read_whole_or_refused_with_its_place(coco, build):
    for name, content in coco_texts():
        (coco / "annotations" / "captions_train2014.json").write_bytes(content)
        outcome, info = build("--coco", coco, name=name)
        assert info is not None and images_in(info) >= 1 or failed_in_one_line(outcome), outcome.err


@FUZZ
@given(whole=JSON, image=JSON, annotation=JSON)
def test_coco_json_of_any_shape(coco, build, whole, image, annotation):
    for content in (whole, COCO | {"images": [image]}, COCO | {"annotations": [annotation, *COCO["annotations"]]}):
        (coco / "annotations" / "captions_train2014.json").write_bytes(as_json(content))
        outcome, info = build("--coco", coco, name=repr(content))
        assert info is not None or failed_in_one_line(outcome), outcome.err


@pytest.mark.parametrize("archive", ["annotations_trainval2014.zip", "train2014.zip"])
def test_damaged_zips_cost_no_more_than_what_is_damaged(coco, build, archive):
    (coco / "annotations" / "captions_train2014.json").write_bytes(as_json(COCO))
    whole = coco.parent / "zips"
    whole.mkdir()
    for zipped, names in (
        ("annotations_trainval2014.zip", ["annotations/captions_train2014.json"]),
        ("train2014.zip", ["train2014/a.png", "train2014/b.png"]),
    ):
        with zipfile.ZipFile(whole / zipped, "w", zipfile.ZIP_DEFLATED) as file:
            for name in names:
                file.write(coco / name, name)
    data = (whole / archive).read_bytes()
    for name, content in [*truncated(data, 15), *damaged(data, 60, archive, ((0, 1), (0.7, 1)))]:
        (whole / archive).write_bytes(content)
        outcome, info = build("--coco", whole, name=f"{archive} {name}")
        assert info is not None or failed_in_one_line(outcome), outcome.err
