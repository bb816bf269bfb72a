"""fill --detail: large holes at the photo's own resolution, tile by tile."""

import json
import math
from itertools import product

import numpy as np
import pytest
import torch
from checkpoint_makers import fresh_model, save_fresh
from PIL import Image

import inpaint
from inpaint.detail import COARSE, EXACT, fill_detail, levels_of, refine, tiles_of
from inpaint.holes import fill_hole


def photo(size=(120, 90), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)


def masked(size, *boxes):
    unknown = np.zeros(size[::-1], bool)
    for x, y, across, down in boxes:
        unknown[y : y + down, x : x + across] = True
    return unknown


@pytest.fixture(scope="module")
def model():
    return fresh_model(decoder="contour", likelihood="categorical", masks="mixed")


HOLES = {
    "large": ((120, 90), [(20, 10, 70, 50)]),
    "corner": ((120, 90), [(57, 21, 63, 69)]),
    "two": ((120, 90), [(3, 4, 9, 9), (80, 70, 40, 15)]),
    "small photo": ((40, 37), [(0, 0, 39, 37)]),
    "one pixel": ((120, 90), [(119, 89, 1, 1)]),
    "odd": ((101, 97), [(13, 7, 77, 33)]),
}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", HOLES)
def test_every_unknown_pixel_is_drawn_and_no_known_one_is_read_wrongly(name, exact, model):
    size, boxes = HOLES[name]
    pixels, unknown = photo(size), masked(size, *boxes)
    done = fill_detail(model, pixels, unknown, samples=2, exact=exact, dtype=torch.float32)
    count = int(unknown.sum())
    assert done.colors.shape == (2, count, 3) and done.facts["unknown_pixels"] == count
    assert done.facts["drawn_pixels"] == count if exact else done.facts["drawn_pixels"] >= count
    assert done.facts["steps"][-1] == 1 and (len(done.facts["steps"]) == 1 or not exact)
    assert (done.nats[0] >= done.nats[1]) and done.nats.isfinite().all()
    other = pixels.copy()
    other[unknown] = 255 - other[unknown]
    again = fill_detail(model, other, unknown, samples=2, exact=exact, dtype=torch.float32)
    assert np.array_equal(done.colors, again.colors) and torch.equal(done.nats, again.nats)


def test_levels_know_what_the_photo_knows(model):
    size, boxes = HOLES["odd"]
    pixels, unknown = photo(size), masked(size, *boxes)
    levels = list(levels_of(model, pixels, unknown, 1, False))
    assert [level.step for level in levels] == [4, 2, 1]
    for level in levels:
        wanted = 0
        for row, column in np.ndindex(*level.wanted.shape):
            y, x = level.top + row * level.step, level.left + column * level.step
            inside = y >= 0 and x >= 0 and y + level.step <= size[1] and x + level.step <= size[0]
            block = unknown[max(y, 0) : max(y + level.step, 0), max(x, 0) : max(x + level.step, 0)]
            assert level.wanted[row, column] == bool(block.any())
            assert level.known[row, column] == (inside and not block.any())
            wanted += bool(block.any())
            if level.known[row, column]:
                own = pixels[y : y + level.step, x : x + level.step].mean(axis=(0, 1))
                assert np.abs(level.canvases[0, :, row, column].numpy() - own).max() <= 0.51
        assert wanted == level.wanted.sum() > 0


def test_a_coarse_pixel_is_the_first_of_its_four(model):
    pixels, unknown = photo(), masked((120, 90), (20, 10, 60, 50))
    coarse, fine = list(levels_of(model, pixels, unknown, 2, False))
    assert (coarse.step, fine.step) == (2, 1)
    coarse.canvases[:, :, coarse.wanted] = 7
    refine(coarse, fine)
    rows, columns = torch.nonzero(fine.known & fine.wanted, as_tuple=True)
    assert len(rows) == 30 * 25 and ((fine.top + rows) % 2 == 0).all() and ((fine.left + columns) % 2 == 0).all()
    assert (fine.canvases[:, :, rows, columns] == 7).all()


def test_tiles_cover_what_is_wanted_once(model):
    (level,) = levels_of(model, photo(), masked((120, 90), (20, 10, 70, 50)), 1, True)
    covered = torch.zeros_like(level.wanted, dtype=torch.int)
    for row, column in tiles_of(level, model.hole):
        covered[row : row + 32, column : column + 32] += 1
    assert (covered[level.wanted] == 1).all() and len(tiles_of(level, model.hole)) == 6


def test_a_hole_that_fits_is_filled_as_without_detail(model):
    pixels, unknown = photo(), masked((120, 90), (44, 29, 32, 32))
    plain = fill_hole(model, pixels, unknown, samples=3, seed=5)
    for exact in (False, True):
        done = fill_detail(model, pixels, unknown, samples=3, seed=5, exact=exact, dtype=torch.float32)
        assert np.array_equal(done.colors, plain.colors)
        assert done.nats.tolist() == pytest.approx(plain.nats.tolist(), abs=1e-3)


@pytest.mark.parametrize("width", [20, 12], ids=["inside", "at the edge"])
def test_exact_is_a_distribution_over_all_fills_of_a_hole_larger_than_the_models(width, monkeypatch):
    """Grey, two levels, a hole of 3 x 2 pixels for a model whose hole is 2 x 2: 64 fills, in two tiles, of which the
    second reaches beyond the hole, and beyond a photo of 12 columns."""
    options = {"likelihood": "bernoulli", "levels": 2, "channels": 1, "image_size": 16, "hole": (7, 7, 2, 2)}
    model = fresh_model(decoder="pixelcnn", masks="mixed", **options)
    pixels = np.repeat(photo((width, 18))[..., :1], 3, axis=2) // 128 * 255
    unknown = masked((width, 18), (9, 8, 3, 2))
    fill, probabilities = np.zeros((18, 20, 3), np.uint8), []

    def given(border, captions, *, known, **rest):
        """The next tile of the fill, in place of a sample."""
        tile = tiles.pop(0)
        before = border[0, :, 7:9, 5:7].numpy()  # what lies to the left of the tile
        if tile == 11:
            assert known[0, 0, 7:9, 5:7].all() and np.array_equal(before, fill[8:10, 9:11].transpose(2, 0, 1))
        part = np.ascontiguousarray(fill[8:10, tile : tile + 2])
        return torch.from_numpy(part).permute(2, 0, 1)[None]

    monkeypatch.setattr(model, "sample", given)
    for values in product((0, 255), repeat=6):
        fill[8:10, 9:12] = np.reshape(values, (2, 3, 1))
        tiles = [9, 11]
        done = fill_detail(model, pixels, unknown, exact=True)
        assert np.array_equal(done.colors[0], fill[8:10, 9:12].reshape(6, 3)) and not tiles
        probabilities.append(math.exp(done.nats.item()))
    assert sum(probabilities) == pytest.approx(1, abs=1e-5) and np.std(probabilities) > 1e-4


@pytest.mark.parametrize("detail", [COARSE, EXACT])
def test_the_command_writes_the_photo_and_says_what_its_nats_are(detail, tmp_path):
    save_fresh(tmp_path / "c.pt", decoder="contour", likelihood="categorical", masks="mixed")
    Image.fromarray(photo()).save(tmp_path / "a.png")
    options = {"box": (20, 10, 70, 50), "detail": detail, "samples": 2, "overwrite": False}
    record = inpaint.fill(tmp_path / "a.png", tmp_path / "c.pt", tmp_path / "out", **options).records[0]
    assert record == json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["detail"] == detail and record["scale"] == 1.0 and record["unknown_pixels"] == 3500
    bits = record["bits_per_unknown_subpixel"]
    nats = record["samples"][0]["log_likelihood_nats"]
    assert bits == (None if detail == COARSE else pytest.approx(-nats / (3 * 3500 * math.log(2))))
    filled, unknown = np.asarray(Image.open(tmp_path / "out" / "a_0.png")), masked((120, 90), options["box"])
    assert np.array_equal(filled[~unknown], photo()[~unknown]) and not np.array_equal(filled, photo())
