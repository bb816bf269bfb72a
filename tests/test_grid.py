"""The sample grid: the columns in order, known pixels shown as they are, any caption drawn without a crash."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from data_prep.errors import InputError
from inpaint import grid
from inpaint.tiles import as_pixels, hatch, paste

HOLE = (16, 16, 32, 32)


def a_row(caption="a dog", samples=2, mean=True):
    generator = torch.Generator().manual_seed(0)

    def pixels(*shape):
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    border = pixels(3, 64, 64)
    border[:, 16:48, 16:48] = 0
    center = pixels(3, 32, 32)
    return grid.Row(border, pixels(samples, 3, 32, 32), center.float() / 2 if mean else None, center, caption)


def tile(image, column, row=0):
    """The 64 x 64 pixels of a tile, uint8 (3, 64, 64)."""
    x, y = grid.GAP + column * (128 + grid.GAP), 2 * grid.GAP + 16 + row * (128 + grid.GAP)
    cut = image.crop((x, y, x + 128, y + 128)).resize((64, 64), Image.Resampling.NEAREST)
    return torch.tensor(np.asarray(cut)).permute(2, 0, 1)


def test_columns_are_border_samples_mean_original():
    row = a_row()
    image = grid.draw([row, a_row()], HOLE)
    expected = [
        hatch(row.border[None], HOLE)[0],
        *(paste(row.border, center, HOLE) for center in (*row.samples, as_pixels(row.mean), row.original)),
    ]
    for column, pixels in enumerate(expected):
        assert torch.equal(tile(image, column), pixels), column
        assert torch.equal(tile(image, column, row=1), pixels), column


def test_hole_is_neither_black_nor_uniform_and_the_border_is_untouched():
    border = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    shown = hatch(border, HOLE)
    inside = shown[..., 16:48, 16:48]
    assert inside.min() > 64 and inside.unique().numel() == 2
    assert shown.sum() == inside.sum()
    assert border.sum() == 0  # the argument is left as it was


def test_headings_say_when_a_sample_is_the_mean():
    assert grid.headings(a_row(samples=2), False) == ["border", "sample 0", "sample 1", "mean", "original"]
    assert grid.headings(a_row(samples=1), True) == ["border", "sample = mean", "mean", "original"]
    assert grid.headings(a_row(samples=1, mean=False), False) == ["border", "sample", "original"]


@pytest.mark.parametrize(
    "caption",
    [
        "",
        " \n\t",
        "犬が浜辺を走る",
        "كلب على الشاطئ",
        "🐕" * 300,
        "\ud800 lone",
        "nul \0 byte",
        "x" * 100_000,
        "a b " * 50_000,
    ],
)
def test_any_caption_is_drawn(caption):
    image = grid.draw([a_row(caption)], HOLE)
    assert image.height == grid.draw([a_row()], HOLE).height


def test_wrapped_lines_fit_hold_all_words_and_say_when_they_do_not():
    font = ImageFont.load_default(13)
    text = "a man in a red coat rides an unreasonablylongwordthatdoesnotfitonanylineofthiswidth bicycle"
    lines = grid.wrap(text, 120, font, 20)
    assert all(font.getlength(line) <= 120 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    short = grid.wrap(text, 120, font, 2)
    assert len(short) == 2 and short[-1].endswith("...") and font.getlength(short[-1]) <= 120
    assert grid.wrap("a\nb", 120, font, 5) == ["a b"]


def test_small_and_large_images_fill_a_tile_of_about_the_same_size():
    for size in (8, 28, 200):
        pixels = torch.zeros(3, size, size, dtype=torch.uint8)
        row = grid.Row(pixels, pixels[None], None, pixels, "digit")
        image = grid.draw([row], (0, 0, size, size))
        assert 3 * 100 < image.width - grid.CAPTION_WIDTH < 3 * 220


def test_grid_file_is_a_png_and_a_failed_write_leaves_the_old_one(tmp_path):
    path = tmp_path / "new" / "grid.png"
    grid.write(path, [a_row()], HOLE)
    before = path.read_bytes()
    with Image.open(path) as image:
        assert image.format == "PNG"
    with pytest.raises(IndexError):
        grid.write(path, [], HOLE)
    assert path.read_bytes() == before and [entry.name for entry in path.parent.iterdir()] == ["grid.png"]
    with pytest.raises(InputError, match="cannot be written"):
        grid.write(path / "below_a_file.png", [a_row()], HOLE)
