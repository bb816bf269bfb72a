"""The sample grid's texts stand beside their own rows and columns, and its tiles are as they were."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from inpaint import grid
from inpaint.tiles import as_pixels, hatch, paste

HOLE = (2, 5, 4, 6)  # of 16 pixels, so that rows and columns cannot be exchanged


def a_row(level, caption):
    center = torch.full((3, 4, 6), level, dtype=torch.uint8)
    pixels = torch.full((3, 16, 16), level + 5, dtype=torch.uint8)
    return grid.Row(pixels, torch.stack([center + 1, center + 2]), center.float() + 3.4, center + 4, caption)


@pytest.fixture
def written(monkeypatch):
    """(place, text, color) of all that the grid's pen writes."""
    told = []
    real = grid.ImageDraw.Draw

    def draw(canvas):
        pen = real(canvas)
        pen.text = lambda place, text, fill, font: told.append((place, text, fill))
        return pen

    monkeypatch.setattr(grid.ImageDraw, "Draw", draw)
    return told


def test_headings_and_captions_stand_over_and_beside_their_own(written):
    rows = [a_row(10, "first of all " * 5), a_row(110, " "), a_row(210, "third")]
    image = grid.draw(rows, HOLE)
    step = 16 * 8 + grid.GAP
    top, right = 2 * grid.GAP + 16, grid.GAP + 5 * step
    heads, texts = written[:6], written[6:]
    titles = ["border", "sample 0", "sample 1", "mean", "original", "caption"]
    assert heads == [((grid.GAP + k * step, grid.GAP), title, "black") for k, title in enumerate(titles)]
    lines = grid.wrap(rows[0].caption, grid.CAPTION_WIDTH - grid.GAP, ImageFont.load_default(13), 8)
    assert len(lines) == 2
    assert texts == [
        ((right, top), lines[0], "black"),
        ((right, top + 16), lines[1], "black"),
        ((right, top + step), "(no caption)", "gray"),
        ((right, top + 2 * step), "third", "black"),
    ]
    assert image.size == (right + grid.CAPTION_WIDTH + grid.GAP, top + 3 * step)


def test_every_tile_is_its_row_s_and_enlarged_without_blur():
    rows = [a_row(10, "a"), a_row(110, "b")]
    shown = np.asarray(grid.draw(rows, HOLE))
    step, top = 16 * 8 + grid.GAP, 2 * grid.GAP + 16
    for r, level in enumerate((10, 110)):
        for column in range(1, 5):
            tile = shown[top + r * step :, grid.GAP + column * step :][:128, :128]
            assert set(np.unique(tile)) == {level + 5, level + column}
            inside = tile[2 * 8 : 6 * 8, 5 * 8 : 11 * 8]
            assert (inside == level + column).all() and (tile == level + column).sum() == inside.size
        border = shown[top + r * step :, grid.GAP :][:128, :128]
        assert set(np.unique(border[2 * 8 : 6 * 8, 5 * 8 : 11 * 8])) == {104, 152}


def test_a_caption_that_is_cut_short_ends_in_dots():
    font = ImageFont.load_default(13)
    lines = grid.wrap("word " * 200, 100, font, 3)
    assert len(lines) == 3 and lines[-1].endswith("...") and not lines[0].endswith("...")
    assert not grid.wrap("word " * 3, 500, font, 3)[-1].endswith("...")


def test_tiles_leave_their_arguments_alone_and_round_to_the_nearest_level():
    border = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    center = torch.arange(24, dtype=torch.uint8).reshape(1, 1, 4, 6).expand(2, 3, -1, -1)
    whole = paste(border, center, HOLE)
    assert torch.equal(whole[..., 2:6, 5:11], center) and whole.sum() == center.sum() and border.sum() == 0
    assert as_pixels(torch.tensor([-3.0, 0.4, 0.6, 254.7, 300.0])).tolist() == [0, 0, 1, 255, 255]


def test_the_hole_is_hatched_in_stripes_of_four_from_its_own_corner():
    shown = hatch(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), HOLE)[0, 0, 2:6, 5:11]
    expected = [[104 if (row + column) % 8 < 4 else 152 for column in range(6)] for row in range(4)]
    assert shown.tolist() == expected


def test_the_file_holds_what_is_drawn(tmp_path):
    rows = [a_row(10, "a")]
    grid.write(tmp_path / "grid.png", rows, HOLE, True)
    with Image.open(tmp_path / "grid.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(grid.draw(rows, HOLE, True)))
    assert not np.array_equal(np.asarray(grid.draw(rows, HOLE, True)), np.asarray(grid.draw(rows, HOLE)))
