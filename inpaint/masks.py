"""Masks: which pixels of the hole are unknown, drawn anew in training, fixed in evaluation.

A maker of KINDS draws the unknown pixels of a hole, at least one. Rectangles and brush strokes leave about a third of
the hole unknown; they grow with it, and a brush is 2 to 8 pixels wide in a hole of 32 x 32. A stroke is a chain of
segments, each turned from the last [1].

[1] arXiv:1806.03589, Free-form image inpainting with gated convolution. Departs from [1]: strokes lie in the hole.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from data_prep.hole import channels_first
from inpaint.tiles import paste
from models.canvas import Hole

FIXED = 806  # seed of evaluation's masks
BRUSH = (2 / 32, 8 / 32)  # its width, of the hole's side
SEGMENT = (0.1, 0.4)  # its length, of the hole's side
TURN = math.pi / 2  # between two segments, at most
MIXED_BOX, MIXED_RECTANGLES, MIXED_STRIPS = 0.5, 0.25, 0.2  # shares of images in training; strokes are the rest
MIXED_EVERY_SECOND = 0.15


def box(random: np.random.Generator, h: int, w: int) -> np.ndarray:
    """The whole hole."""
    return np.ones((h, w), bool)


def rectangles(random: np.random.Generator, h: int, w: int) -> np.ndarray:
    """One to four rectangles, which may overlap, cut off at the hole's edge."""
    unknown = np.zeros((h, w), bool)
    for _ in range(random.integers(1, 5)):
        rows, columns = (_interval(random, side) for side in (h, w))
        unknown[rows, columns] = True
    return unknown


def _interval(random: np.random.Generator, side: int) -> slice:
    """At most the whole side, about a middle anywhere on it, cut off at both ends."""
    length = max(1, round(random.uniform() * side))
    first = int(random.integers(side)) - length // 2
    return slice(max(0, first), first + length)


def strokes(random: np.random.Generator, h: int, w: int) -> np.ndarray:
    """One to four strokes of two to six segments. Each begins at a pixel's center: at least that one is unknown."""
    unknown = np.zeros((h, w), bool)
    side, last = math.sqrt(h * w), np.array([h - 1.0, w - 1.0])
    for _ in range(random.integers(1, 5)):
        radius = max(0.5, random.uniform(*BRUSH) * side / 2)
        points, direction = [random.integers((h, w)).astype(float)], random.uniform(0, 2 * math.pi)
        for _ in range(random.integers(2, 7)):
            step = random.uniform(*SEGMENT) * side * np.array([math.sin(direction), math.cos(direction)])
            leaves = (points[-1] + step < 0) | (points[-1] + step > last)
            step = np.where(leaves, -step, step)  # back from the hole's edge
            points.append((points[-1] + step).clip(0, last))
            direction = math.atan2(*step) + random.uniform(-TURN, TURN)
        unknown |= distance(np.array(points), h, w) <= radius
    return unknown


def distance(points: np.ndarray, h: int, w: int) -> np.ndarray:
    """Distance of each pixel's center to a chain of segments, in pixels: (P, 2) rows and columns -> float64 (h, w)."""
    start, along = points[:-1, :, None, None], np.diff(points, axis=0)[..., None, None]  # (P - 1, 2, 1, 1)
    offset = np.indices((h, w)) - start  # (P - 1, 2, h, w)
    length = np.maximum((along**2).sum(axis=1, keepdims=True), 1e-9)
    share = ((offset * along).sum(axis=1, keepdims=True) / length).clip(0, 1)  # of the segment, where it is nearest
    return np.sqrt(((offset - share * along) ** 2).sum(axis=1)).min(axis=0)


def half(random: np.random.Generator, h: int, w: int) -> np.ndarray:
    """The lower half; of an odd number of rows the middle one, too."""
    return np.arange(h)[:, None] >= np.full(w, h // 2)


def every_second(random: np.random.Generator, h: int, w: int) -> np.ndarray:
    """All but every second pixel of every second row, from the first on: known are [::2, ::2], as in coarse-to-fine
    decoders. A hole of one pixel is unknown."""
    unknown = np.ones((h, w), bool)
    unknown[::2, ::2] = h * w == 1
    return unknown


Maker = Callable[[np.random.Generator, int, int], np.ndarray]
KINDS: dict[str, Maker] = {
    "box": box,
    "rectangles": rectangles,
    "strokes": strokes,
    "half": half,
    "every-second": every_second,
}


def mixed(random: np.random.Generator, hole: Hole, image_size: int) -> np.ndarray:
    """The known pixels of a training image, bool (S, S): half of all images lose the whole hole, a quarter rectangles,
    a quarter strokes; a fifth, independently, also strips at one or two sides of the photo; and of fifteen in a hundred
    every second pixel of every second row is known, as in detail.py."""
    kind = random.random()
    maker = box if kind < MIXED_BOX else rectangles if kind < MIXED_BOX + MIXED_RECTANGLES else strokes
    known = np.ones((image_size, image_size), bool)
    known[channels_first(hole)] = ~maker(random, *hole[2:])
    if random.random() < MIXED_STRIPS:
        known &= ~strips(random, hole, image_size)
    if random.random() < MIXED_EVERY_SECOND:
        unknown = ~known[channels_first(hole)] & every_second(random, *hole[2:])
        if unknown.any():
            known[channels_first(hole)] = ~unknown
    return known


def strips(random: np.random.Generator, hole: Hole, image_size: int) -> np.ndarray:
    """Strips at one or two sides of the photo that reach the hole at most, bool (S, S); none where no side has room."""
    top, left, h, w = hole
    rooms = (top, image_size - top - h, left, image_size - left - w)  # above, below, left, right
    sides = [side for side in range(4) if rooms[side]]
    unknown = np.zeros((image_size, image_size), bool)
    for side in random.permutation(sides)[: random.integers(1, 3)]:
        axis, far = divmod(int(side), 2)
        lines = unknown if axis == 0 else unknown.T
        width = random.integers(1, rooms[side] + 1)
        lines[image_size - width if far else 0 : image_size if far else width] = True
    return unknown


def unknown_of(photos, indices) -> np.ndarray | None:
    """Unknown pixels of a split's images under its `masks`: bool (n, h, w); None for the whole hole.

    They depend on the kind, the hole's size and the image's place in the split: never on seed, model or batch.
    """
    if photos.masks == "box":
        return None
    found = [_fixed(photos.masks, *photos.hole[2:], int(index)) for index in indices]
    return np.stack(found) if found else np.zeros((0, *photos.hole[2:]), bool)


@functools.lru_cache(maxsize=2**14)  # an image is scored several times
def _fixed(kind: str, h: int, w: int, index: int) -> np.ndarray:
    unknown = KINDS[kind](np.random.default_rng([FIXED, index]), h, w)
    unknown.flags.writeable = False
    return unknown


def seen(photos, indices) -> tuple[Tensor, Tensor, Tensor | None]:
    """Images of a split as a model is given them, under the split's `masks`.

    Args:
      photos: a `Photos` split.
      indices: which of its images.

    Returns:
      border uint8 (n, 3, H, W) with the pixels of the hole that are known, center uint8 (n, 3, h, w), and known bool
      (n, 1, H, W), None for the whole hole.
    """
    border, center = photos.images(indices)
    found = unknown_of(photos, indices)
    if found is None:
        return border, center, None
    unknown = torch.from_numpy(found)[:, None]  # (n, 1, h, w)
    known = torch.ones(len(border), 1, *border.shape[2:], dtype=torch.bool)
    known[channels_first(photos.hole)] = ~unknown
    return paste(border, center.masked_fill(unknown, 0), photos.hole), center, known
