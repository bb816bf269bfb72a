"""What the last pixel of a hole sees of those before it, and that training says so where it is not all."""

import pytest

import models
from inpaint.commands.train import out_of_sight
from models.receptive_field import earlier_pixels_seen


def built(decoder, side=8, **options):
    options = {"size": "xs", "likelihood": "categorical", "use_captions": False, "image_size": 2 * side} | options
    return models.build(decoder, hole=(side // 2, side // 2, side, side), **options).eval()


def test_attention_sees_every_earlier_pixel_and_one_small_kernel_few():
    assert earlier_pixels_seen(built("pixelsnail")) == (63, 63)
    plain = {"dilation": False, "layer_norm": False, "skip_connections": False}
    seen, earlier = earlier_pixels_seen(built("pixelcnn", blocks=1, predictors=False, **plain))
    # 7 x 7 in the first layer and 3 x 3 in the block: four rows above, of which the last pixel's column is the middle,
    # and four pixels of its own row
    assert earlier == 63 and seen == by_hand(rows=3, left=3, kernel_rows=1, kernel_side=1, side=8)


def by_hand(rows, left, kernel_rows, kernel_side, side):
    """Pixels of the hole that reach its last one through a kernel with mask A and then one with mask B."""
    last = (side - 1, side - 1)

    def below(pixel, height, width, itself):
        i, j = pixel
        above = [(a, b) for a in range(i - height, i) for b in range(j - width, j + width + 1)]
        return above + [(i, b) for b in range(j - (width if not itself else 1), j + itself)]

    middle = below(last, kernel_rows, kernel_side, itself=1)
    seen = {pixel for one in middle for pixel in below(one, rows, left, itself=0)}
    return sum(0 <= i < side and 0 <= j < side for i, j in seen)


def test_pixels_drawn_independently_see_none():
    assert earlier_pixels_seen(built("contour")) == (0, 63)


@pytest.mark.parametrize(
    "decoder, options, told",
    [
        ("gated", {}, ["sees", "of 4,095 earlier ones", "positions repeat after 64 pixels"]),
        ("gated", {"position": False}, ["sees"]),
        ("pixelsnail", {}, ["positions repeat after 64 pixels"]),
        ("contour", {}, []),
        ("parallel", {}, []),
    ],
)
def test_a_large_hole_that_a_decoder_does_not_see_whole_is_told(decoder, options, told):
    line = out_of_sight(built(decoder, 64, **options))
    assert (line is None) == (not told) and all(text in line for text in told)
    assert ("positions" in (line or "")) == any("positions" in text for text in told)


def test_a_hole_of_the_usual_size_is_not_told():
    assert out_of_sight(built("rowlstm", 32)) is None
