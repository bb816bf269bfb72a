"""Any photo with any hole: filled with its known pixels as they were, or left out in one line; never a traceback."""

import json

import numpy as np
import pytest
from checkpoint_makers import fresh_model, save_fresh
from fuzzing import CASES, damaged, run, truncated
from PIL import Image

from data_prep.whole_photo import read_whole
from inpaint.detail import fill_detail
from inpaint.holes import fill_hole, score_hole
from inpaint.windows import bounding_box

MODES = ("L", "LA", "RGB", "RGBA", "P", "1", "I;16")
SIZES = ((1, 2), (2, 1), (3, 90), (90, 3), (31, 33), (64, 64), (65, 63), (150, 100), (257, 129))


def photo(random, size, mode):
    if mode == "I;16":
        return Image.fromarray(random.integers(0, 65536, size[::-1], np.uint16))
    return Image.fromarray(random.integers(0, 256, (*size[::-1], 4), np.uint8)).convert(mode)


def hole(random, size):
    """Unknown pixels, at least one and not all: scattered, boxes, lines, or all but a few."""
    shape = size[::-1]
    kind = random.integers(5)
    unknown = np.zeros(shape, bool)
    if kind == 0:
        unknown = random.random(shape) < random.random() ** 3
    elif kind == 1:
        for _ in range(random.integers(1, 4)):
            y, x = random.integers(shape[0]), random.integers(shape[1])
            unknown[y : y + random.integers(1, shape[0] + 1), x : x + random.integers(1, shape[1] + 1)] = True
    elif kind == 2:
        unknown[random.integers(shape[0]) :: random.integers(1, 9)] = True
    elif kind == 3:
        unknown = random.random(shape) > 0.001
    unknown[tuple(random.integers(shape))] = True
    if unknown.all():
        unknown[0, 0] = False
    return unknown


@pytest.fixture(scope="module")
def model():
    return fresh_model(decoder="contour", likelihood="gaussian", masks="mixed")


@pytest.mark.parametrize("seed", range(36))
def test_any_hole_of_any_photo(seed, model, tmp_path):
    random = np.random.default_rng([22, seed])
    size, mode = SIZES[seed % len(SIZES)], MODES[seed % len(MODES)]
    photo(random, size, mode).save(tmp_path / ("a.tif" if mode == "I;16" else "a.png"))
    whole = read_whole(next(tmp_path.iterdir()).read_bytes())
    unknown = hole(random, size)
    fills = fill_hole(model, whole.pixels, unknown, samples=2, seed=seed)
    assert fills.nats.isfinite().all() and fills.colors.shape == (2, unknown.sum(), 3)
    filled = whole.with_pixels(unknown, fills.colors[0])
    assert filled.mode == whole.image.mode and filled.size == size
    assert np.array_equal(np.asarray(filled)[~unknown], np.asarray(whole.image)[~unknown])
    facts = fills.seen.facts(int(unknown.sum()))
    assert facts["box"] == list(bounding_box(unknown)) and 1 <= facts["drawn_pixels"] <= 1024
    scores = score_hole(model, whole.pixels, unknown, [whole.pixels])
    assert np.isfinite(scores.nats).all() and np.isfinite(scores.surprise).all()
    exact = fill_detail(model, whole.pixels, unknown, exact=True)
    assert exact.facts["drawn_pixels"] == unknown.sum() and exact.nats.isfinite().all()
    coarse = fill_detail(model, whole.pixels, unknown)
    assert coarse.colors.shape == (1, unknown.sum(), 3) and coarse.nats.isfinite().all()
    CASES["holes"] += 1


def test_damaged_masks_are_one_line(tmp_path):
    save_fresh(tmp_path / "m.pt", decoder="contour", likelihood="gaussian", masks="mixed")
    random = np.random.default_rng(5)
    photo(random, (40, 30), "RGB").save(tmp_path / "photo.png")
    mask = np.zeros((30, 40), np.uint8)
    mask[5:9, 6:20] = 255
    Image.fromarray(mask).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    cases = [*truncated(data, 8), *damaged(data, 24, "masks", ((0, 1),))]
    used = 0
    for number, (_, content) in enumerate(cases):
        (tmp_path / "mask.png").write_bytes(content)
        options = ("--checkpoint", tmp_path / "m.pt", "--samples", "1", "--out", tmp_path / f"out{number}")
        done = run("inpaint", "fill", tmp_path / "photo.png", "--mask", tmp_path / "mask.png", *options)
        assert done.code in (0, 1), content
        if done.code == 0:
            used += 1
            assert json.loads((tmp_path / f"out{number}" / "photo.json").read_text())["unknown_pixels"] >= 1
        CASES["masks"] += 1
    assert used < len(cases)


@pytest.mark.parametrize("seed", range(12))
def test_any_box_in_words_is_a_hole_or_one_line(seed, tmp_path):
    random = np.random.default_rng([23, seed])
    save_fresh(tmp_path / "m.pt", decoder="contour", likelihood="gaussian", masks="mixed")
    photo(random, (40, 30), "RGB").save(tmp_path / "photo.png")
    box = random.integers(-3, 45, 4).tolist() if seed % 2 else random.choice(list("0123456789,,,.- xe"), 9).tolist()
    text = (",".join if seed % 2 else "".join)(map(str, box))
    options = ("--checkpoint", tmp_path / "m.pt", "--samples", "1", "--out", tmp_path / "out")
    done = run("inpaint", "fill", tmp_path / "photo.png", f"--box={text}", *options)
    assert done.code in (0, 1, 2), text
    CASES["boxes"] += 1
