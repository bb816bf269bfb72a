"""Predictors: what known pixels, in full precision, say of an unknown one.

Lossless coders predict a pixel from its neighbours (left + above - above left, and the like [1]) and code the
difference. A network trained in bfloat16 knows intensities to two levels at best, so here too its output is the
difference: each mean is one of k linear predictions plus what the network adds. The predictors start as the coders' and
learn. A softmax over levels has no mean; there the network weighs candidates, copies of known pixels, against the
levels [2].

Where neighbours are known on all sides (multiscale.py, or within a mask), pixels are interpolated. predictor_steps.py
has the twins.

[1] Wu and Memon 1997, Context-based, adaptive, lossless image coding   [2] See, Liu, Manning 2017, arXiv:1704.04368
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Canvas
from models.layers.masked import MaskedConv2d, conv2d
from models.layers.region import Region, crop

ABOVE, SIDE = 2, 2  # rows above and columns to both sides that are read
Place = tuple[int, int]  # a row and a column relative to the pixel itself, which is at (0, 0)
Shares = dict[Place, float]  # a predictor: how much of which pixel
W, WW, N, NW, NE, NN, NNE = (0, -1), (0, -2), (-1, 0), (-1, -1), (-1, 1), (-2, 0), (-2, 1)
PREDICTORS: tuple[Shares, ...] = (
    {W: 1, N: 1, NW: -1},
    {W: 0.75, N: 0.5, NW: -0.5, NE: 0.25},
    {W: 1},
    {N: 1},
    {W: 0.5, N: 0.5},
    {W: 2, WW: -1},
    {N: 2, NN: -1},
    {N: 1, NE: 1, NNE: -1},
    {W: 0.25, N: 0.25, NW: 0.25, NE: 0.25},
    {},
)
NEIGHBOURS = (W, N, NW, NE)
E, S, SW, SE = (0, 1), (1, 0), (1, -1), (1, 1)
TOWARD: tuple[Shares, ...] = (  # how far each of PREDICTORS starts to move toward known pixels after it
    {},
    {E: 0.25, S: 0.25},
    {E: 0.5},
    {S: 0.5},
    {E: 0.25, S: 0.25},
    {},
    {},
    {},
    {E: 0.25, S: 0.25},
    {},
)
EIGHT = (NW, N, NE, W, E, SW, S, SE)
BETWEEN: dict[Place, tuple[Shares, ...]] = {  # by where a pixel lies from one of the coarser grid: what is known then
    (0, 1): ({W: 0.5, E: 0.5}, {W: 1}, {E: 1}, {}),
    (1, 0): ({N: 0.5, S: 0.5}, {N: 1}, {S: 1}, {}),
    (1, 1): (
        {N: 0.25, S: 0.25, W: 0.25, E: 0.25},
        {N: 0.5, S: 0.5},
        {W: 0.5, E: 0.5},
        {N: 0.5, S: 0.5, W: 0.5, E: 0.5, NW: -0.25, NE: -0.25, SW: -0.25, SE: -0.25},
        {N: 1},
        {S: 1},
        {W: 1},
        {E: 1},
        {},
    ),
}


class LinearPredictors(MaskedConv2d):
    """k linear predictions of each sub-pixel of the hole, in -1..1, from two pixels to the left and five in each of the
    two rows above; zeros outside the canvas.

    Args:
      count: k; they start as PREDICTORS, in turn.
    """

    side = SIDE  # columns to the right in the rows above

    def __init__(self, canvas: Canvas, count: int):
        kernel = (ABOVE + 1, 2 * SIDE + 1)
        mask = torch.ones(3 * count, 3, *kernel)
        mask[:, :, ABOVE, SIDE:] = 0
        super().__init__(3, 3 * count, kernel, bias=False, mask=mask)
        self.canvas = canvas
        start_as(self.weight, PREDICTORS, (ABOVE, SIDE))

    def forward(self, canvas: Tensor, border: Tensor) -> Tensor:  # type: ignore[override]
        """(B, 4, rows, columns), every pixel known, and the whole border (B, 4, H, W) -> (B, 3 k, h, w), R's first."""
        return self.canvas.hole_of(conv2d(padded(canvas)[:, :3], self.kernel(), None))


class TwoSidedPredictors(LinearPredictors):
    """`LinearPredictors` that also read known pixels on all sides, up to two pixels away."""

    def __init__(self, canvas: Canvas, count: int):
        super().__init__(canvas, count)
        self.around = Interpolations(canvas.hole, count, ({},))

    def forward(self, canvas: Tensor, border: Tensor) -> Tensor:  # type: ignore[override]
        y: Tensor = super().forward(canvas, border) + self.around(border)
        return y


class SurroundedPredictors(LinearPredictors):
    """`LinearPredictors` moved toward known pixels up to two away, on all sides: each known pixel pulls a prediction by
    a learned share of the difference. So with none known they are those of `LinearPredictors`, whatever the mask."""

    def __init__(self, canvas: Canvas, count: int):
        super().__init__(canvas, count)
        self.pull = nn.Conv2d(3, 3 * count, 2 * SIDE + 1, padding=SIDE, groups=3, bias=False)
        whole = torch.zeros(3 * count, 3, *self.pull.weight.shape[2:])
        start_as(whole, TOWARD, (SIDE, SIDE))
        with torch.no_grad():
            self.pull.weight.copy_(whole.sum(1, keepdim=True))

    def forward(self, canvas: Tensor, border: Tensor) -> Tensor:  # type: ignore[override]
        pulled, share = self.pulls(border)
        y = super().forward(canvas, border)
        return y - share * y + pulled

    def pulls(self, border: Tensor) -> tuple[Tensor, Tensor]:
        """Known pixels around each pixel of the hole, weighted, and the sum of the weights: (B, 3 k, h, w) each."""
        near = self.canvas.hole.grow(SIDE)
        x = crop(border[:, :4], Region.whole(*border.shape[2:]), near)
        pulled: Tensor = self.pull(x[:, :3])
        share = self.pull(x[:, 3:].expand(-1, 3, -1, -1))
        return crop(pulled, near, self.canvas.hole), crop(share, near, self.canvas.hole)


class CopyCandidates(nn.Module):
    """For each pixel of the hole its four NEIGHBOURS and the nearest border pixels above, to the left, to the right and
    below, in -1..1; zeros outside the image."""

    COUNT = len(NEIGHBOURS) + 4
    side = 1

    def __init__(self, canvas: Canvas):
        super().__init__()
        self.canvas = canvas

    def forward(self, canvas: Tensor, border: Tensor) -> Tensor:
        """(B, 4, rows, columns), every pixel known, and the whole border (B, 4, H, W) -> (B, 24, h, w), R's first."""
        windows = windows_of(self.canvas, padded(canvas)).permute(2, 3, 0, 1, 4, 5)  # (B, 3, h, w, rows, columns)
        near = [windows[..., ABOVE + row, SIDE + column] for row, column in NEIGHBOURS]  # (B, 3, h, w) each
        return torch.stack([*near, *self.nearest(border)], dim=2).flatten(1, 2)

    def nearest(self, border: Tensor) -> list[Tensor]:
        """The nearest candidates above, to the left, to the right and below, (B, 3, h, w) each."""
        x, (h, w) = self.framed(border)[:, :3], (self.canvas.height, self.canvas.width)
        sides = x[:, :, :1, 1:-1], x[:, :, 1:-1, :1], x[:, :, 1:-1, -1:], x[:, :, -1:, 1:-1]
        return [side.expand(-1, -1, h, w) for side in sides]

    def framed(self, border: Tensor) -> Tensor:
        """The hole with a pixel around it, zeros outside the image: (B, 4, H, W) -> (B, 4, h + 2, w + 2)."""
        hole = self.canvas.hole
        x = F.pad(border[:, :4], (1, 1, 1, 1))  # so the pixel (i, j) is at (i + 1, j + 1)
        return x[:, :, hole.top : hole.bottom + 2, hole.left : hole.right + 2]


class KnownCandidates(CopyCandidates):
    """`CopyCandidates` where pixels inside the hole may be known: the nearest known pixel on each side, no further than
    just outside the hole."""

    def nearest(self, border: Tensor) -> list[Tensor]:
        x = self.framed(border)
        sideways = x.transpose(2, 3)
        above, left = latest_known(x), latest_known(sideways).transpose(2, 3)
        right, below = latest_known(sideways.flip(2)).flip(2).transpose(2, 3), latest_known(x.flip(2)).flip(2)
        return [above, left, right, below]


class Interpolations(nn.Conv2d):
    """k linear predictions of each sub-pixel of the hole from known pixels up to two away, zeros where unknown: (B, 4,
    H, W) -> (B, 3 k, h, w), R's first.

    Args:
      count: k.
      start: the predictors they start as, in turn.
    """

    def __init__(self, hole: Region, count: int, start: tuple[Shares, ...]):
        super().__init__(3, 3 * count, 2 * SIDE + 1, bias=False)
        self.hole = hole
        start_as(self.weight, start, (SIDE, SIDE))

    def forward(self, x: Tensor) -> Tensor:
        near = self.hole.grow(SIDE)
        y = conv2d(crop(x[:, :3], Region.whole(*x.shape[2:]), near), self.weight, None, padding=(SIDE, SIDE))
        return crop(y, near, self.hole)


class CopiesAround(nn.Module):
    """The EIGHT pixels around each pixel of the hole, in -1..1, zeros where unknown: (B, 4, H, W) -> (B, 24, h, w), R's
    first."""

    def __init__(self, hole: Region):
        super().__init__()
        self.hole = hole

    def forward(self, x: Tensor) -> Tensor:
        x, top, left = F.pad(x[:, :3], (1, 1, 1, 1)), self.hole.top, self.hole.left  # so (i, j) is at (i + 1, j + 1)
        height, width = self.hole.bottom - top, self.hole.right - left
        near = [x[:, :, top + 1 + i : top + 1 + i + height, left + 1 + j : left + 1 + j + width] for i, j in EIGHT]
        return torch.stack(near, dim=2).flatten(1, 2)


def start_as(weight: Tensor, predictors: tuple[Shares, ...], center: Place) -> None:
    """Set a weight (3 k, 3, height, width) to k predictors of each channel from that channel, taken in turn."""
    start = torch.zeros(3, weight.shape[0] // 3, *weight.shape[1:])  # of, which, from, row, column
    channels = torch.arange(3)
    for k in range(start.shape[1]):
        for (row, column), share in predictors[k % len(predictors)].items():
            start[channels, k, channels, center[0] + row, center[1] + column] = share
    with torch.no_grad():
        weight.copy_(start.flatten(0, 1))


def latest_known(x: Tensor) -> Tensor:
    """The nearest known pixel above each pixel, or the first row's: (B, 4, h + 2, w + 2), intensities and mask, hole in
    the middle -> (B, 3, h, w)."""
    colors, known = x[:, :3, :-2, 1:-1], x[:, 3:, :-2, 1:-1] > 0
    rows = torch.arange(colors.shape[2], device=x.device).reshape(-1, 1)
    latest = torch.where(known, rows, 0).cummax(dim=2).values
    return colors.gather(2, latest.expand(-1, 3, -1, -1))


def padded(canvas: Tensor, further: int = 0) -> Tensor:
    """Pad a canvas with zeros as far as predictors read, and `further`."""
    side = SIDE + further
    return F.pad(canvas, (side, side, ABOVE + further, 0))


def trimmed(with_margin: Tensor, above: int = ABOVE, side: int = SIDE) -> Tensor:
    """View a padded canvas without so many rows and columns of its padding."""
    return with_margin[:, :, above:, side : with_margin.shape[3] - side]


def windows_of(canvas: Canvas, with_margin: Tensor) -> Tensor:
    """View the window that predictors read at each pixel: (h, w, B, 3, ABOVE + 1, 2 SIDE + 1) of a padded canvas."""
    windows = with_margin[:, :3].unfold(2, ABOVE + 1, 1).unfold(3, 2 * SIDE + 1, 1)  # (B, 3, rows, columns, ...)
    return windows[:, :, canvas.top :, canvas.left : canvas.left + canvas.width].permute(2, 3, 0, 1, 4, 5)
