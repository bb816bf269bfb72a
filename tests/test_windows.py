"""The square of a photo that a model sees: where it lies, what is known in it, and what comes back."""

import numpy as np
import pytest
from PIL import Image

from inpaint.windows import Window, bounding_box, put_back, view, whole_view, window_around

HOLE, SIZE = (16, 16, 32, 32), 64


def photo(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def masked(width, height, box):
    unknown = np.zeros((height, width), bool)
    x, y, across, down = box
    unknown[y : y + down, x : x + across] = True
    return unknown


def some_boxes(count, largest=300):
    """(photo's size, box) by chance: single pixels, whole sides and corners among them."""
    random = np.random.default_rng(1)
    for _ in range(count):
        size = [int(n) for n in random.integers(20, largest, 2)]
        lengths = [int(random.choice([1, random.integers(1, n + 1), n])) for n in size]
        starts = [
            int(random.choice([0, random.integers(0, n - m + 1), n - m])) for n, m in zip(size, lengths, strict=True)
        ]
        yield size, (*starts, *lengths)


def test_a_box_lies_inside_the_models_hole_at_the_least_scale():
    for size, box in some_boxes(2000):
        window = window_around(box, size, SIZE, HOLE)
        x, y, across, down = window.cells(box)
        assert x >= 16 and y >= 16 and x + across <= 48 and y + down <= 48
        assert window.scale >= 1 and window.side <= max(SIZE, 2 * max(box[2:])) * 1.1 + 4
        if max(box[2:]) <= 32:
            assert window.scale == 1


def test_a_window_stays_on_a_photo_that_is_large_enough():
    for box in [(0, 0, 32, 32), (68, 0, 32, 32), (0, 168, 32, 32), (68, 168, 32, 32), (99, 199, 1, 1), (0, 90, 5, 5)]:
        window = window_around(box, (100, 200), SIZE, HOLE)
        inside = window.left >= -16 and window.top >= -16 and window.left <= 52 and window.top <= 152
        assert inside, (box, window)  # at most the margin before the hole lies beyond
    assert window_around((40, 90, 20, 20), (100, 200), SIZE, HOLE) == Window(18, 68, 64, 64)
    assert window_around((17, 90, 10, 10), (100, 200), SIZE, HOLE).left == 0  # in the middle it would start at -10


def test_a_model_pixel_is_unknown_if_it_covers_an_unknown_photo_pixel_and_then_it_is_zero():
    for size, box in some_boxes(120):
        pixels, unknown = photo(*size), masked(*size, box)
        window = window_around(box, size, SIZE, HOLE)
        seen, known = view(pixels, unknown, window, HOLE)
        for row in range(0, SIZE, 5):
            for column in range(0, SIZE, 3):
                spans = [
                    (start + k * window.side / SIZE, start + (k + 1) * window.side / SIZE)
                    for start, k in ((window.top, row), (window.left, column))
                ]
                (top, bottom), (left, right) = [(int(np.floor(a)), int(np.ceil(b))) for a, b in spans]
                covered = unknown[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
                beyond = top < 0 or left < 0 or bottom > size[1] or right > size[0]
                in_hole = 16 <= row < 48 and 16 <= column < 48
                assert known[row, column] == (not covered.any() and (in_hole or not beyond))
        assert not seen[~known].any()


def test_unknown_pixels_are_never_read():
    for size, box in some_boxes(150):
        pixels, unknown = photo(*size), masked(*size, box)
        window = window_around(box, size, SIZE, HOLE)
        other = pixels.copy()
        other[unknown] = 255 - other[unknown]
        assert np.array_equal(view(pixels, unknown, window, HOLE)[0], view(other, unknown, window, HOLE)[0])


def test_at_scale_1_pixels_are_the_photos_own_both_ways():
    pixels, box = photo(200, 150), (90, 60, 20, 30)
    unknown = masked(200, 150, box)
    window = window_around(box, (200, 150), SIZE, HOLE)
    seen, known = view(pixels, unknown, window, HOLE)
    own = pixels[window.top : window.top + SIZE, window.left : window.left + SIZE]
    assert np.array_equal(seen[known], own[known]) and known.sum() == SIZE**2 - 600
    assert np.array_equal(put_back(own, window, box), pixels[60:90, 90:110])


def test_a_window_on_the_photo_is_resized_as_pillow_does_it():
    pixels, window = photo(400, 300), Window(40, 20, 200, SIZE)
    expected = Image.fromarray(pixels[20:220, 40:240]).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    assert np.array_equal(whole_view(pixels, window), np.asarray(expected))


def test_beyond_the_photo_it_goes_on_as_its_edge():
    pixels, window = photo(50, 40), Window(-20, -10, SIZE, SIZE)
    seen = whole_view(pixels, window)
    assert np.array_equal(seen[10:50, 20:], pixels[:, :44])
    assert (seen[:11, 20:] == pixels[0, :44]).all() and (seen[10:50, :20] == pixels[:, :1]).all()


@pytest.mark.parametrize("step", [1, 3])
def test_a_large_window_is_averaged_first_and_stays_where_it_is(step):
    """A photo of slow waves, so that averaging before Lanczos moves levels little."""
    side = 64 * 16 * step
    rows, columns = np.indices((side + 40, side + 70))
    waves = 128 + 100 * np.sin(rows / (40 * step)) * np.cos(columns / (50 * step))
    pixels = np.repeat(waves[..., None], 3, axis=2).astype(np.uint8)
    plain = Image.fromarray(pixels[30 : 30 + side, 50 : 50 + side]).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    difference = np.abs(whole_view(pixels, Window(50, 30, side, SIZE)).astype(int) - np.asarray(plain).astype(int))
    assert difference.max() <= 2


def test_what_is_put_back_is_the_box_of_the_enlarged_window():
    window, box = Window(10, 20, 256, SIZE), (80, 90, 100, 110)
    image = np.kron(photo(8, 8), np.ones((8, 8, 1), np.uint8))  # blocks of 8 x 8 pixels
    enlarged = np.asarray(Image.fromarray(image).resize((256, 256), Image.Resampling.BICUBIC))
    difference = np.abs(put_back(image, window, box).astype(int) - enlarged[70:180, 70:170].astype(int))
    assert difference.max() <= 1


def test_the_box_around_a_mask():
    unknown = np.zeros((9, 12), bool)
    unknown[2, 5] = unknown[7, 3] = True
    assert bounding_box(unknown) == (3, 2, 3, 6)
