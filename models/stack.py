"""What every causal stack is: a canvas it reads, two phases it runs in, and the one loop that draws from it.

The canvas is the hole with MARGIN pixels of real border above it and to both sides, so that where a plain PixelCNN
would read zero padding the stack reads the photo. A stack computes in two phases: `down` sees the rows above, whole
rows at a time, `right` the pixels to the left in the same row. `Stack.forward` runs both on the whole canvas, every
pixel known; `Walk` runs the same layers as the pixels become known, and is all the sampler that any family needs.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.causal import Cache, Pointwise, shift_down, shift_right
from models.window import Region, crop

MARGIN = 4  # pixels of border around the hole that the stack reads itself; the tower sees all of it
Hole = tuple[int, int, int, int]


class Canvas:
    """The part of the image that a stack reads: rows from above the hole to its end, columns on both sides of it.

    Attributes:
      region: of the image, rows x columns; top and left of the hole within it; height and width of the hole.
    """

    def __init__(self, hole: Hole, image_size: int):
        self.hole = Region.of_hole(hole, image_size, image_size)
        around = self.hole.grow(MARGIN)
        self.region = Region(around.top, around.left, self.hole.bottom, around.right, image_size, image_size)
        self.top, self.left = self.hole.top - around.top, self.hole.left - around.left
        self.height, self.width = hole[2:]
        self.rows, self.columns = self.region.bottom - self.region.top, around.right - around.left

    def of(self, image: Tensor) -> Tensor:
        """The canvas (B, C, rows, columns) of an image (B, C, H, W); a copy."""
        return crop(image, Region.whole(*image.shape[2:]), self.region).clone(memory_format=torch.channels_last)

    def hole_of(self, canvas: Tensor) -> Tensor:
        """(B, C, h, w): the hole's part of a canvas, a view."""
        return canvas[:, :, self.top :, self.left : self.left + self.width]

    def around(self, center: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, rows, columns), zero outside the hole."""
        return F.pad(center, (self.left, self.columns - self.left - self.width, self.top, 0))


@dataclass
class Context:
    """What is known before the first pixel is drawn.

    Attributes:
      tower: (B, C, rows, columns), the border tower's features on the canvas, zero outside the hole; or of one row of
        it, (columns, B, C).
      caption: (B, K), the caption's summary; None unless captions enter every layer.
      border: (B, 4, H, W), the tower's input: intensities and the known-pixel mask.
    """

    tower: Tensor
    caption: Tensor | None
    border: Tensor

    @staticmethod
    def joined(contexts: Sequence["Context"]) -> "Context":
        """That of all their images."""
        captions = [context.caption for context in contexts]
        return Context(
            torch.cat([context.tower for context in contexts]),
            None if captions[0] is None else torch.cat(captions),
            torch.cat([context.border for context in contexts]),
        )

    def to(self, dtype: torch.dtype) -> "Context":
        caption = None if self.caption is None else self.caption.to(dtype)
        return Context(self.tower.to(dtype), caption, self.border.to(dtype))


class Position(nn.Module):
    """Where each pixel of the canvas lies: (1, channels, rows, columns), or with a cache (columns, 1, channels), linear
    in sines of periods 2 to 64 of its row and of its column. A convolution alone could not tell."""

    PERIODS = tuple(2**k for k in range(1, 7))

    def __init__(self, canvas: "Canvas", channels: int):
        super().__init__()
        rows = torch.arange(canvas.rows).reshape(-1, 1).expand(-1, canvas.columns) - canvas.top
        columns = torch.arange(canvas.columns).expand(canvas.rows, -1) - canvas.left
        angles = [2 * math.pi / period * x for x in (rows, columns) for period in self.PERIODS]
        waves = torch.stack([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)])
        self.register_buffer("waves", waves.unsqueeze(0), persistent=False)  # (1, 24, rows, columns)
        self.to_channels = Pointwise(len(waves), channels, bias=False)

    def forward(self, cache: Cache | None) -> Tensor:
        if cache is None:
            return self.to_channels(self.waves)
        return self.to_channels(self.waves[:, :, cache.row].permute(2, 0, 1))


class Condition(nn.Module):
    """Context -> a map (B, outputs, rows, columns) to add to a layer's, or of one row (columns, B, outputs): linear in
    the tower's features and the caption."""

    def __init__(self, tower_channels: int, caption_channels: int, outputs: int):
        super().__init__()
        self.tower = Pointwise(tower_channels, outputs, bias=False)
        self.caption = nn.Linear(caption_channels, outputs, bias=False) if caption_channels else None

    def forward(self, context: Context) -> Tensor:
        y = self.tower(context.tower)
        if self.caption is None:
            return y
        caption = self.caption(context.caption)  # (B, outputs)
        return y + (caption[:, :, None, None] if y.dim() == 4 else caption)


class Stack(nn.Module, ABC):
    """A causal stack: the canvas so far and the context -> features at the hole's pixels.

    Attributes:
      channels: of the features.
      grouped: whether these come in colour groups, of which G's have seen R and B's R and G of their own pixel.
      looks_up: whether `right` has layers that read rows above, so that whole rows must pass through it.
    """

    channels: int
    grouped = False
    looks_up = True

    def __init__(self, canvas: Canvas):
        super().__init__()
        self.canvas = canvas

    @abstractmethod
    def down(self, x: Tensor, context: Context, cache: Cache | None = None) -> list[Tensor]:
        """From the rows above, and the context, what each layer of `right` is given.

        Args:
          x: (B, 4, rows, columns), for each row the intensities in -1..1 and the known-pixel mask of the row above it;
            with a cache that of one row, (columns, B, 4), and so is what comes out.
        """

    @abstractmethod
    def right(self, x: Tensor, own: Tensor, given: list[Tensor], cache: Cache | None = None) -> Tensor:
        """The features (B, channels, ...) or (..., channels), from what `down` gave and the pixels to the left.

        Args:
          x: (B, 4, rows, columns), for each pixel that to the left of it; with a cache that of the columns now given,
            (n, B, 4), or of one pixel, (B, 4).
          own: (B, 3, rows, columns), (n, B, 3) or (B, 3), the pixel itself, for colour groups.
        """

    def forward(self, canvas: Tensor, context: Context) -> Tensor:
        """(B, 4, rows, columns), all of it known -> (B, channels, h, w), each pixel's from those before it."""
        given = self.down(shift_down(canvas), context)
        if self.looks_up:
            return self.canvas.hole_of(self.right(shift_right(canvas), canvas[:, :3], given))
        top = self.canvas.top  # rows above the hole have done their part
        x = canvas[:, :, top:]
        y = self.right(shift_right(x), x[:, :3], [g[:, :, top:] for g in given])
        return y[..., self.canvas.left : self.canvas.left + self.canvas.width]


class Walk:
    """Goes through the hole in the order of drawing and gives each pixel's features as those before it become known.

    Args:
      stack: in eval mode and frozen.
      canvas: (B, 4, rows, columns); each pixel of the hole must be put there before the next is asked for.
      context: of the whole canvas.
    """

    def __init__(self, stack: Stack, canvas: Tensor, context: Context):
        self.stack, self.context, self.place = stack, context, stack.canvas
        self._pixels = canvas.permute(2, 3, 0, 1)  # (rows, columns, B, 4)
        self._own = self._pixels[..., :3]
        self._outside = torch.zeros_like(self._pixels[0])  # what lies above the canvas, and to its left
        self._tower = context.tower.permute(2, 3, 0, 1).contiguous()  # (rows, columns, B, C)
        self.cache = Cache(self.place.columns)
        self._given: list = []

    def pixels(self) -> Iterator[tuple[int, int]]:
        """The hole's pixels (i, j), in order."""
        place, cache = self.place, self.cache
        after = place.left + place.width
        for row in range(place.top + place.height):
            self._start_row(row)
            if row < place.top:
                if self.stack.looks_up:
                    self._columns(row, 0, place.columns)
                continue
            if place.left:
                self._columns(row, 0, place.left)
            for j in range(place.width):
                column = place.left + j
                cache.start_columns(column, column + 1)
                yield row - place.top, j
            if self.stack.looks_up and after < place.columns:
                self._columns(row, after, place.columns)

    def features(self) -> Tensor:
        """(B, channels) of the pixel at hand. Where they depend on its own first colours, ask again once these are
        put."""
        row, column = self.cache.row, self.cache.first
        left = self._pixels[row, column - 1] if column else self._outside[0]
        return self.stack.right(left, self._own[row, column], self._given, self.cache)

    def _start_row(self, row: int) -> None:
        self.cache.start_row(row)
        above = self._pixels[row - 1] if row else self._outside
        context = Context(self._tower[row], self.context.caption, self.context.border)
        self._given = self.stack.down(above, context, self.cache)

    def _columns(self, row: int, first: int, end: int) -> None:
        self.cache.start_columns(first, end)
        line = self._pixels[row]
        x = line[first - 1 : end - 1] if first else torch.cat([self._outside[:1], line[: end - 1]])
        self.stack.right(x, self._own[row, first:end], self._given, self.cache)
