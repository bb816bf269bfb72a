"""Holes larger than the model's, filled at the photo's own resolution.

Coarse to fine, level by level: the photo is averaged over blocks until the hole fits the model's, and filled; then the
resolution is doubled again and again. At each doubling a coarse pixel is taken for the first of the four in its block,
and the model draws the other three, tile by tile. A tile knows the photo, those coarse pixels and the tiles before it.

Without the coarse levels (`exact`) there are tiles alone, each drawn given the photo and the tiles before it. The
product of their probabilities is then an exact likelihood of the whole hole; far from the photo a tile knows little.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from data_prep.hole import channels_first
from inpaint.greys import for_model, luma
from inpaint.inference import device_of, evaluating
from inpaint.windows import Box, averaged, bounding_box, nearest_known
from models import Inpainter
from models.inputs import at_hole

COARSE, EXACT = "coarse", "exact"
Tile = tuple[int, int]  # row and column of its first pixel


@dataclass
class Level:
    """The hole and what lies around it at one resolution.

    Attributes:
      step: photo pixels along the side of one of its pixels.
      left, top: its first pixel's place in the photo.
      canvases: uint8 (K, 3, down, across), each sample's pixels so far; beyond the photo, the nearest known pixel's.
      known: bool (down, across), the photo's known pixels and those drawn so far.
      wanted: bool (down, across), the pixels to draw.
    """

    step: int
    left: int
    top: int
    canvases: torch.Tensor
    known: torch.Tensor
    wanted: torch.Tensor


@dataclass
class Details:
    """What `fill_detail` drew, the likeliest first.

    Attributes:
      nats: float64 (K,), log-likelihoods at temperature 1 of all that was drawn, coarse pixels too.
      colors: uint8 (K, n, 3), the photo's unknown pixels, in the order of `pixels[unknown]`.
      facts: what a record says of the hole: pixels drawn for a sample on all levels; photo pixels along the side of a
        level's pixel, coarse to fine.
    """

    nats: torch.Tensor
    colors: np.ndarray
    facts: dict[str, Any]


def fill_detail(
    model: Inpainter,
    pixels: np.ndarray,
    unknown: np.ndarray,
    caption: str | list[str] = "",
    *,
    samples: int = 1,
    exact: bool = False,
    seed: int = 0,
    grey: bool = False,
    **options: Any,
) -> Details:
    """Fill a photo's unknown pixels at its own resolution.

    Args:
      pixels, unknown, caption, samples, seed, grey: as `holes.fill_hole` takes them.
      exact: tiles alone.
      options: `temperature` and `dtype` of `Inpainter.sample`; `progress`, which wraps the list of all levels' tiles.
    """
    progress: Callable[[list[Any]], Iterable[Any]] = options.pop("progress", iter)
    options["generator"] = torch.Generator().manual_seed(seed)
    pixels = for_model(model, pixels)
    levels = list(levels_of(model, pixels, unknown, samples, exact))
    work = [(number, tile) for number, level in enumerate(levels) for tile in tiles_of(level, model.hole)]
    nats, drawn, refined = torch.zeros(samples, dtype=torch.float64), 0, 0
    for number, tile in progress(work):
        if number > refined:
            refine(levels[refined], levels[number])
            refined = number
        found, count = _fill_tile(model, levels[number], tile, caption, grey, options)
        nats, drawn = nats + found, drawn + count
    ranking, finest = nats.argsort(descending=True, stable=True), levels[-1]
    rows, columns = np.nonzero(unknown)
    colors = finest.canvases[ranking][:, :, rows - finest.top, columns - finest.left].transpose(1, 2)  # (K, n, 3)
    down, across = finest.wanted.shape
    facts = {
        "box": list(bounding_box(unknown)),
        "window": [finest.left, finest.top, across, down],
        "scale": 1.0,
        "unknown_pixels": len(rows),
        "drawn_pixels": drawn,
        "detail": EXACT if exact else COARSE,
        "steps": [level.step for level in levels],
    }
    return Details(nats[ranking], colors.numpy(), facts)


def levels_of(model: Inpainter, pixels: np.ndarray, unknown: np.ndarray, samples: int, exact: bool) -> Iterator[Level]:
    """The levels, coarse to fine, with what the photo knows of each."""
    box, step = bounding_box(unknown), 1
    rows, columns = np.nonzero(unknown)
    while not exact and not _fits(box, step, model.hole):
        step *= 2
    while step:
        left, top = (_before(start, step, model.image_size) for start in box[:2])
        across, down = (
            math.ceil((start + length - first) / step) + model.image_size
            for start, length, first in zip(box[:2], box[2:], (left, top), strict=True)
        )
        colors, hidden = averaged(pixels, unknown, (left, top, across, down), step)
        wanted = np.zeros((down, across), bool)
        wanted[(rows - top) // step, (columns - left) // step] = True
        canvas = torch.tensor(nearest_known(colors, hidden)).permute(2, 0, 1).repeat(samples, 1, 1, 1)
        yield Level(step, left, top, canvas, torch.from_numpy(~hidden), torch.from_numpy(wanted))
        step //= 2


def _fits(box: Box, step: int, hole: tuple[int, ...]) -> bool:
    """Whether the blocks that a box touches fit into the model's hole."""
    return all(
        (start + length - 1) // step - start // step < most
        for start, length, most in zip(box[:2], box[2:], (hole[3], hole[2]), strict=True)
    )


def _before(start: int, step: int, margin: int) -> int:
    """Where a level starts: `margin` of its pixels before the hole, on the grid of the coarser level."""
    return (start // step - margin) * step // (2 * step) * 2 * step


def tiles_of(level: Level, hole: tuple[int, ...]) -> list[Tile]:
    """The tiles, each of the hole's size, that cover the pixels to draw, in raster order."""
    rows, columns = (np.flatnonzero(level.wanted.any(dim=1 - axis).numpy()) for axis in (0, 1))
    _, _, height, width = hole
    places = [(r, c) for r in range(rows[0], rows[-1] + 1, height) for c in range(columns[0], columns[-1] + 1, width)]
    return [tile for tile in places if level.wanted[channels_first((*tile, height, width))].any()]


def refine(coarse: Level, fine: Level) -> None:
    """Take over what was drawn on a coarser level: each pixel as the first of its block of four, where that is to be
    drawn."""
    rows, columns = torch.nonzero(coarse.wanted, as_tuple=True)
    down = 2 * rows + (coarse.top - fine.top) // fine.step
    across = 2 * columns + (coarse.left - fine.left) // fine.step
    taken = fine.wanted[down, across]
    down, across = down[taken], across[taken]
    fine.canvases[:, :, down, across] = coarse.canvases[:, :, rows[taken], columns[taken]]
    fine.known[down, across] = True


def _fill_tile(
    model: Inpainter, level: Level, tile: Tile, caption: str | list[str], grey: bool, options: dict[str, Any]
) -> tuple[torch.Tensor, int]:
    """Draw a tile's pixels on every canvas. Returns: nats, float64 (K,), and how many pixels were drawn."""
    top, left, height, width = model.hole
    window = channels_first((tile[0] - top, tile[1] - left, model.image_size, model.image_size))
    known = level.known[window].clone()  # (S, S)
    inside = at_hole(known[None, None], model.hole)[0, 0]
    drawn = level.wanted[channels_first((*tile, height, width))] & ~inside  # (h, w)
    if not drawn.any():
        return torch.zeros(len(level.canvases), dtype=torch.float64), 0
    inside |= ~drawn  # beyond the photo: the nearest known pixel
    device, count = device_of(model), len(level.canvases)
    border = (level.canvases[window] * known).to(device)
    masks = known.to(device).expand(count, 1, -1, -1)
    captions = [caption] * count if model.uses_captions else None
    with evaluating(model):
        center = model.sample(border, captions, known=masks, **options)
        center = luma(center) if grey else center
        nats = model.log_prob(border, center, captions, known=masks).cpu().double().sum(dim=(1, 2, 3))
    place = channels_first((*tile, height, width))
    level.canvases[place] = torch.where(drawn, center.cpu(), level.canvases[place])
    level.known[place] |= drawn
    return nats, int(drawn.sum())
