"""Drawing a center from a causal stack, sub-pixel by sub-pixel: one loop, and two ways to know what comes next.

`Cached` walks through the hole once and computes of each pixel what that pixel adds; `Plain` runs the whole model again
for each sub-pixel. Stack and head run in float64 unless told otherwise, because a sample is a number rounded to a
level: in float32 the two ways differ in the seventh digit, now and then round differently, and from there on paint
different pictures.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.anchor import Copies, Predictions, padded, trimmed
from models.causal import Masked
from models.head import Head
from models.likelihoods import Likelihood
from models.stack import Context, Stack, Walk

Known = Callable[[], tuple[Context, Tensor]]
COLDEST = 0.001  # temperature: colder, and what is divided by it overflows


class Parts(NamedTuple):
    """What of a model draws: its `Inpainter`'s attributes of the same names."""

    stack: Stack
    head: Head
    likelihood: Likelihood
    anchor: Predictions | Copies | None

    def frozen(self, dtype: torch.dtype) -> "Parts":
        """Copies of that precision that will not learn."""
        return Parts(*(part and _frozen(part, dtype) for part in self))


class How(NamedTuple):
    """Options of drawing: see `Inpainter.sample`; whether what is drawn is scored, too; and of how many equal shares of
    the batch each is drawn as it would be alone."""

    temperature: float = 1.0
    cached: bool = True
    scored: bool = False
    dtype: torch.dtype = torch.float64
    progress: Callable[[Iterable], Iterable] = iter
    shares: int = 1


class Cached:
    """The params of each sub-pixel in turn, computed from what the last one changed."""

    def __init__(self, parts: Parts, canvas: Tensor, known: Known):
        context, given = known()
        stack, self.head, _, self.anchor = parts
        self.grouped = stack.grouped
        if self.anchor is not None:
            canvas = padded(canvas)
            self.predict = self.anchor.drawing(canvas, context.border)
            canvas = trimmed(canvas)
        self.canvas = canvas
        self.walk = Walk(stack, canvas, context.to(canvas.dtype))
        self.given = given.to(canvas.dtype).permute(2, 3, 0, 1)  # (h, w, B, width)

    def pixels(self) -> Iterator[tuple[int, int]]:
        return self.walk.pixels()

    def params(self, i: int, j: int, own: Tensor, channel: int | None) -> tuple[Tensor, Tensor | None]:
        """(B, P) and the anchor (B, A), or the channel's alone; `own` (B, 3) is the pixel so far."""
        if not channel or self.grouped:
            self.first = self.head.first(self.given[i, j], self.walk.features())
        params = self.head.rest(self.first, own, channel)
        if self.anchor is None:
            return params, None
        if not channel:
            self.predicted = self.predict(i, j)
        return params, _of_channel(self.predicted, channel)


class Plain:
    """The same, by running the whole model on the canvas so far."""

    def __init__(self, parts: Parts, canvas: Tensor, known: Known):
        self.stack, self.head, _, self.anchor = parts
        self.canvas, self.known = canvas, known

    def pixels(self) -> Iterator[tuple[int, int]]:
        return itertools.product(range(self.stack.canvas.height), range(self.stack.canvas.width))

    def params(self, i: int, j: int, own: Tensor, channel: int | None) -> tuple[Tensor, Tensor | None]:
        context, given = self.known()
        center = self.stack.canvas.hole_of(self.canvas)[:, :3]
        dtype = self.canvas.dtype
        params = self.head(given.to(dtype), self.stack(self.canvas, context.to(dtype)), center)
        params = _of_channel(params[:, :, i, j], channel)
        if self.anchor is None:
            return params, None
        return params, _of_channel(self.anchor(self.canvas, context.border.to(dtype))[:, :, i, j], channel)


def check_temperature(temperature: float) -> None:
    """Raises: ValueError for one that nothing can be drawn at."""
    if not COLDEST <= temperature < float("inf"):
        raise ValueError(f"temperature must be at least {COLDEST}, not {temperature}")


def _of_channel(params: Tensor, channel: int | None) -> Tensor:
    """(B, P) -> a third of it, or all."""
    return params if channel is None else params.chunk(3, dim=1)[channel]


def draw(
    parts: Parts, canvas: Tensor, known: Known, noise: Tensor, how: How, fixed: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Fill the hole.

    Args:
      parts: the model's, in eval mode.
      canvas: (B, 4, rows, columns), the border's intensities in -1..1 and the known-pixel mask; what lies in the hole
        is not read, but for pixels that are `fixed`.
      known: gives the context of the whole canvas and the head's `given`, float32, as each forward pass computes them.
      noise: the likelihood's, (B, uniforms_per_pixel, h, w).
      how: its `progress` wraps the rows of the hole.
      fixed: bool (h, w), pixels that are not drawn; None for none.

    Returns: the center, uint8 (B, 3, h, w), and, where asked for, the log-probability of each sub-pixel as it was
    drawn (not as temperature had it), float32 of the same shape; what it is at a fixed pixel means nothing.
    """
    parts = parts.frozen(how.dtype)
    head, likelihood, place, noise = parts.head, parts.likelihood, parts.stack.canvas, noise.to(how.dtype)
    source = (Cached if how.cached else Plain)(parts, canvas.to(how.dtype), known)
    hole = place.hole_of(source.canvas)  # a view: what is drawn appears on the canvas
    fixed, given = _fixed(fixed, hole)
    hole[:, :3], hole[:, 3] = 0, 1
    steps = (0, 1, 2) if head.by_colour else (None,)  # channels drawn one by one, or all from the same params
    colours_at, noise_at = hole[:, :3].permute(2, 3, 0, 1), noise.permute(2, 3, 0, 1).contiguous()
    drawn, scores, pixels = [], [], source.pixels()
    for i in how.progress(range(place.height)):
        for _, j in itertools.islice(pixels, place.width):
            own, u = colours_at[i, j], noise_at[i, j]  # (B, 3), a view, and (B, uniforms_per_pixel)
            for channel in steps:
                params, anchor = source.params(i, j, own, channel)
                colours = slice(None) if channel is None else slice(channel, channel + 1)
                if fixed[i][j]:
                    levels = given[i, j][:, colours]
                else:
                    u_now = u if channel is None else u[:, colours]
                    levels = likelihood.sample(params, u_now, how.temperature, anchor)
                own[:, colours] = levels.to(how.dtype) / 127.5 - 1
                drawn.append(levels)
                if how.scored:
                    params = params if anchor is None else likelihood.anchored(params, anchor)
                    scores.append(likelihood.log_prob(params, levels))
    shape = (-1, place.height, place.width, 3)
    center = torch.cat(drawn, dim=1).reshape(shape).permute(0, 3, 1, 2).contiguous()
    return center, torch.cat(scores, dim=1).reshape(shape).permute(0, 3, 1, 2).float() if how.scored else None


def _fixed(fixed: Tensor | None, hole: Tensor) -> tuple[list[list[bool]], Tensor]:
    """Which pixels are not drawn, and the levels uint8 (h, w, B, 3) of a hole (B, 4, h, w) as it was given."""
    levels = (127.5 * hole[:, :3] + 127.5).round().to(torch.uint8).permute(2, 3, 0, 1)
    return (torch.zeros(hole.shape[2:]) if fixed is None else fixed).bool().tolist(), levels


def _frozen(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    module = copy.deepcopy(module).to(dtype).eval()
    for layer in module.modules():
        if isinstance(layer, Masked):
            layer.freeze()
    return module
