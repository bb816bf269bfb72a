"""Where a likelihood's means begin: linear predictions of a pixel from those around it, in full precision.

Lossless coders predict a pixel from its neighbours (left + above - above left, and the like [1]) and code the
difference. A network trained in bfloat16 knows intensities to two levels at best, so here too it says the difference:
each mean is a prediction of this layer, which begins as the coders' own and learns, plus what the network adds.

[1] Wu and Memon 1997, Context-based, adaptive, lossless image coding
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.causal import Masked, conv2d
from models.stack import Canvas

ABOVE, SIDE = 2, 2  # rows above and columns to both sides that are read
W, WW, N, NW, NE, NN, NNE = (0, -1), (0, -2), (-1, 0), (-1, -1), (-1, 1), (-2, 0), (-2, 1)
PREDICTORS = (  # what they take of which pixel; the pixel itself is at (0, 0)
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


class Anchor(Masked):
    """The canvas (B, 4, rows, columns), all of it known -> predictions of the hole's pixels (B, outputs, h, w), -1..1.

    Reads two pixels to the left and five in each of the two rows above, zeros outside the canvas.

    Args:
      canvas: that it is computed on.
      outputs: 3 k, for k predictions of each channel, R's first; they begin as PREDICTORS, in turn.
    """

    def __init__(self, canvas: Canvas, outputs: int):
        kernel = (ABOVE + 1, 2 * SIDE + 1)
        mask = torch.ones(outputs, 3, *kernel)
        mask[:, :, ABOVE, SIDE:] = 0
        super().__init__(3, outputs, kernel, bias=False, mask=mask)
        self.canvas = canvas
        weight = torch.zeros(3, outputs // 3, 3, *kernel)  # of, which, from, row, column
        for k in range(outputs // 3):
            for (row, column), share in PREDICTORS[k % len(PREDICTORS)].items():
                weight[range(3), k, range(3), ABOVE + row, SIDE + column] = share
        with torch.no_grad():
            self.weight.copy_(weight.flatten(0, 1))

    def forward(self, canvas: Tensor) -> Tensor:
        return self.canvas.hole_of(conv2d(padded(canvas)[:, :3], self.kernel(), None))

    def windows(self, with_margin: Tensor) -> Tensor:
        """What is read for each pixel of the hole, of a canvas that was `padded`: (h, w, B, 3, height, width), a view."""
        _, _, height, width = self.weight.shape
        windows = with_margin[:, :3].unfold(2, height, 1).unfold(3, width, 1)  # (B, 3, rows, columns, height, width)
        place = self.canvas
        windows = windows[:, :, place.top :, place.left : place.left + place.width]
        return windows.permute(2, 3, 0, 1, 4, 5)

    def of_window(self, window: Tensor) -> Tensor:
        """(B, 3, height, width) -> (B, outputs)."""
        return F.linear(window.flatten(1), self.kernel().flatten(1))


def padded(canvas: Tensor) -> Tensor:
    """A canvas with the zeros that stand for what lies outside it."""
    return F.pad(canvas, (SIDE, SIDE, ABOVE, 0))


def trimmed(with_margin: Tensor) -> Tensor:
    """A padded canvas without its padding, a view."""
    return with_margin[:, :, ABOVE:, SIDE:-SIDE]
