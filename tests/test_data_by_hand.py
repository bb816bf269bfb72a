"""The builder's parts with results worked out by hand: crops, levels, words, the preview, who is rejected."""

import csv

import h5py
import numpy as np
import pytest
from data_makers import encoded, picture, run
from PIL import Image

from data_prep import preview as preview_module
from data_prep.decode import decode, resized
from data_prep.h5file import describe
from data_prep.words import WordCount

ARGUMENTS = ("--image-size", 8, "--hole", "2,3,4,3", "--workers", 1)


@pytest.mark.parametrize("width, height, first", [(13, 8, 2), (14, 8, 3), (8, 13, 2), (8, 14, 3)])
def test_an_odd_rest_of_a_crop_is_left_out_at_the_right_or_below(width, height, first):
    columns = np.tile(np.arange(width, dtype=np.uint8), (height, 1)) if width > height else None
    levels = columns if columns is not None else np.tile(np.arange(height, dtype=np.uint8)[:, None], (1, width))
    found = decode(encoded(Image.fromarray(levels), "PNG"), 8)[..., 0]
    assert np.array_equal(found[0] if width > height else found[:, 0], np.arange(first, first + 8))


def test_sixteen_bits_become_the_nearest_of_eight():
    levels = np.zeros((8, 8), np.uint16)
    levels[0] = [0, 128, 129, 256, 257, 385, 386, 65535]  # 129 / 257 is above a half
    assert decode(encoded(Image.fromarray(levels), "PNG"), 8)[0, :, 0].tolist() == [0, 0, 1, 1, 1, 1, 2, 255]


def test_a_color_that_is_declared_transparent_shows_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((3, 4), 1)
    found = decode(encoded(image, "PNG", transparency=0), 8)
    assert found[4, 3].tolist() == [40, 50, 60] and found[0, 0].tolist() == [255] * 3
    rgb = Image.new("RGB", (8, 8), (1, 2, 3))
    rgb.putpixel((0, 0), (9, 9, 9))
    found = decode(encoded(rgb, "PNG", transparency=(1, 2, 3)), 8)
    assert found[0, 0].tolist() == [9] * 3 and found[1, 1].tolist() == [255] * 3


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_at_hand_are_resized_by_lanczos_and_left_alone_at_their_own_size(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, channels), np.uint8)
    whole = np.repeat(pixels, 3 // channels, axis=2)
    assert np.array_equal(resized(pixels, 12), whole)
    expected = np.asarray(Image.fromarray(whole).resize((7, 7), Image.Resampling.LANCZOS))
    assert np.array_equal(resized(pixels, 7), expected)


def test_words_are_counted_in_lower_case_and_listed_by_count_then_alphabet():
    count = WordCount()
    count.add((b"A dog's ball.", b"a CAT", "Été".encode()))
    count.add((b"b a", b"gone gone"))
    count.add((b"gone gone",), times=-1)
    words = [("a", 3), ("'", 1), (".", 1), ("b", 1), ("ball", 1), ("cat", 1), ("dog", 1), ("s", 1), ("été", 1)]
    assert list(count.vocabulary().items()) == words
    assert +count.lengths == {6: 1, 2: 2, 1: 1}


def test_a_share_of_lengths_is_the_shortest_that_suffices():
    count = WordCount()
    count.add((b"a", b"a b", b"a b c", b"a b c d"))
    assert [count.length_quantile(share) for share in (0.25, 0.26, 0.5, 0.75, 0.95, 1)] == [1, 2, 2, 3, 4, 4]
    assert WordCount().length_quantile(0.5) == 0


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A file of eight train, seven val photos: two in the middle of train damaged, names with accents, 0 to 6 captions.

    Returns (folder, file, whole images of val).
    """
    folder = tmp_path_factory.mktemp("photos")
    wholes = []
    for split, count in (("train", 8), ("val", 7)):
        (folder / split).mkdir()
        for number in range(count):
            image = picture(number + 20 * (split == "val"), (8, 8))
            image.save(folder / split / f"é{number}.png")
            captions = [f"{split} photo {number} said {k}" for k in range(number)]
            (folder / split / f"é{number}.txt").write_text("\n".join(captions), encoding="utf-8")
            wholes += [np.asarray(image)] * (split == "val")
    for number in (2, 5):
        (folder / "train" / f"é{number}.png").write_bytes(b"no photo")
    out = folder / "o.h5"
    done = run("--folder", folder, "--out", out, "--preview", folder / "preview.png", *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    return folder, out, np.stack(wholes)


def test_each_photo_keeps_its_own_name_id_captions_and_pixels_around_rejected_ones(built):
    folder, out, wholes = built
    info = describe(out)
    names = info.splits["train"].file_name
    assert [name.split("é")[1] for name in info.splits["val"].file_name] == [f"{number}.png" for number in range(7)]
    kept = [int(name.split("é")[1][0]) for split in ("train", "test") for name in info.splits[split].file_name]
    assert sorted(kept) == [0, 1, 3, 4, 6, 7]
    for split in ("train", "test"):
        for i, name in enumerate(info.splits[split].file_name):
            number = int(name.split("é")[1][0])
            expected = [f"train photo {number} said {k}" for k in range(number)]
            assert info.splits[split].captions_of(i) == expected, names
    with open(folder / "o.rejects.csv", newline="", encoding="utf-8") as file:
        rejected = [name for name, _ in csv.reader(file)][1:]
    assert sorted(name.split("é")[1] for name in rejected) == ["2.png", "5.png"]
    with h5py.File(out) as file:
        center, border = file["val/center"][:], file["val/border"][:]
        assert np.array_equal(center, wholes[:, 2:6, 3:6]) and not border[:, 2:6, 3:6].any()
        border[:, 2:6, 3:6] = center
        assert np.array_equal(border, wholes)
        assert np.allclose(file["val"].attrs["channel_means"], wholes.mean(axis=(0, 1, 2)))
        assert file["val"].attrs["images"] == 7


def test_words_of_rejected_photos_are_not_counted(built):
    info = describe(built[1])
    train = info.splits["train"]
    expected = sum(len(train.captions_of(i)) for i in range(train.n))
    assert info.vocabulary["photo"] == info.vocabulary["said"] == expected
    assert "2" not in info.vocabulary or info.vocabulary["2"] < expected
    assert info.vocabulary["0"] >= sum(train.captions_of(i) != [] for i in range(train.n))


def test_the_preview_shows_six_of_each_split_border_center_and_whole(built):
    folder, out, wholes = built
    info = describe(out)
    with Image.open(folder / "preview.png") as image:
        shown = np.asarray(image)
    step = preview_module.TILE + preview_module.GAP
    rows = [(name, i) for name in ("train", "val", "test") for i in range(min(6, info.splits[name].n))]
    assert shown.shape[0] == preview_module.GAP + len(rows) * step

    def tile(row, column):
        top, left = (preview_module.GAP + k * step for k in (row, column))
        return shown[top + 8 : top + preview_module.TILE : 16, left + 8 : left + preview_module.TILE : 16]

    first = rows.index(("val", 0))
    for i in range(6):
        border, center, whole = (tile(first + i, column) for column in range(3))
        assert np.array_equal(whole, wholes[i])
        assert np.array_equal(center[2:6, 3:6], wholes[i][2:6, 3:6])
        around = np.ones((8, 8), bool)
        around[2:6, 3:6] = False
        assert (center[around] == 255).all() and np.array_equal(border[around], wholes[i][around])
        assert {tuple(pixel) for pixel in border[2:6, 3:6].reshape(-1, 3)} == {(255,) * 3, (170,) * 3}


def test_the_preview_writes_each_photo_s_number_name_id_and_captions(built, tmp_path, monkeypatch):
    _, out, _ = built
    told = []

    class Pen:
        def multiline_text(self, place, text, *arguments, **options):
            told.append(text.split("\n"))

    monkeypatch.setattr(preview_module.ImageDraw, "Draw", lambda picture: Pen())
    preview_module.preview(out, tmp_path / "p.png")
    info, at = describe(out), 0
    for name, split in info.splits.items():
        for i in range(min(6, split.n)):
            assert told[at][0] == f"{name} {i}: {split.file_name[i]} (id {split.image_id[i]})"
            assert told[at][1:] == [f"- {caption}" for caption in split.captions_of(i)[:5]]
            at += 1
    assert at == len(told)


def test_a_limit_is_of_each_split(built, tmp_path):
    folder, _, _ = built
    done = run("--folder", folder, "--out", tmp_path / "o.h5", "--limit", 3, *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    splits = describe(tmp_path / "o.h5").splits
    assert splits["val"].n == 3 and splits["train"].n <= 3
