"""Draw a center from a causal stack, sub-pixel by sub-pixel: one loop, and two sources of the likelihood's params.

`IncrementalParams` goes through the hole once and computes for each pixel only what is new; `PlainParams` runs the
whole model again for each sub-pixel. Stack and head run in float64 by default: samples are rounded to levels, so in
float32 the two sources, which differ in the seventh digit, would now and then round differently and from there on draw
different pictures.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from models.head import Head
from models.incremental import IncrementalPass
from models.intensity import denormalize, normalize
from models.layers.maps import Context
from models.layers.twins import Cursor, stepwise
from models.likelihoods.base import Likelihood
from models.predictors import CopyCandidates, LinearPredictors, padded, trimmed
from models.stacks.base import Stack

COLDEST = 0.001  # the lowest temperature: division by a lower one can overflow
Drawn = tuple[Tensor, Tensor | None]  # a center, uint8 (B, 3, h, w), and its nats, float32 of the same shape
Part = TypeVar("Part", bound=nn.Module)


class Precomputed(NamedTuple):
    """What does not depend on the center: the stack's context, and the head's first layer (B, width, h, w)."""

    context: Context
    first: Tensor


class RasterParts(NamedTuple):
    """The parts of a causal decoder that run again for each pixel."""

    stack: Stack
    head: Head
    likelihood: Likelihood
    predictors: LinearPredictors | CopyCandidates | None

    def converted(self, dtype: torch.dtype) -> "RasterParts":
        """Copies in that precision and in eval mode."""
        stack, head, likelihood, predictors = self
        copied = None if predictors is None else _converted(predictors, dtype)
        return RasterParts(_converted(stack, dtype), _converted(head, dtype), likelihood, copied)


class SampleOptions(NamedTuple):
    """How to draw: see `Inpainter.sample`.

    Attributes:
      scored: also return log-probabilities.
      shares: how many equal shares the batch is split into, each drawn as if it were alone.
    """

    temperature: float = 1.0
    cached: bool = True
    scored: bool = False
    dtype: torch.dtype = torch.float64
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter
    shares: int = 1


class ParamsSource(Protocol):
    """Gives the likelihood's params, one sub-pixel after the other.

    Attributes:
      canvas: (B, 4, rows, columns), read at each step: the caller puts there what it draws.
    """

    canvas: Tensor

    def pixels(self) -> Iterator[tuple[int, int]]:
        """The hole's pixels (i, j), in order."""

    def params(self, i: int, j: int, pixel: Tensor, channel: int | None) -> tuple[Tensor, Tensor | None]:
        """Params (B, P) and predictions (B, 3 k), or one channel's third of both; `pixel` (B, 3) so far."""


class IncrementalParams:
    """Computes only what the latest sub-pixel changes."""

    def __init__(self, parts: RasterParts, canvas: Tensor, precompute: Callable[[], Precomputed]):
        context, first = precompute()
        cursor = Cursor(parts.stack.canvas.columns)
        self.grouped = parts.stack.grouped
        self.head: Any = stepwise(parts.head, cursor)
        self.predictors: Any = None
        if parts.predictors is not None:
            self.predictors = stepwise(parts.predictors, cursor)
            canvas = padded(canvas)
            self.predictors.start(canvas, context.border)
            canvas = trimmed(canvas)
        self.canvas = canvas
        self.visit = IncrementalPass(parts.stack, canvas, context.to(canvas.dtype), cursor)
        self.first_layer = first.to(canvas.dtype).permute(2, 3, 0, 1)  # (h, w, B, width)
        self.first: Any = None
        self.predictions: Any = None

    def pixels(self) -> Iterator[tuple[int, int]]:
        return self.visit.pixels()

    def params(self, i: int, j: int, pixel: Tensor, channel: int | None) -> tuple[Tensor, Tensor | None]:
        if not channel or self.grouped:
            self.first = self.head.first(self.first_layer[i, j], self.visit.features())
        params = self.head.params(self.first, pixel, channel)
        if self.predictors is None:
            return params, None
        if not channel:
            self.predictions = self.predictors(i, j)
        return params, _of_channel(self.predictions, channel)


class PlainParams:
    """Runs the whole model on the canvas so far."""

    def __init__(self, parts: RasterParts, canvas: Tensor, precompute: Callable[[], Precomputed]):
        self.parts, self.canvas, self.precompute = parts, canvas, precompute

    def pixels(self) -> Iterator[tuple[int, int]]:
        canvas = self.parts.stack.canvas
        return itertools.product(range(canvas.height), range(canvas.width))

    def params(self, i: int, j: int, pixel: Tensor, channel: int | None) -> tuple[Tensor, Tensor | None]:
        context, first = self.precompute()
        stack, head, _, predictors = self.parts
        center = stack.canvas.hole_of(self.canvas)[:, :3]
        dtype = self.canvas.dtype
        params = head(first.to(dtype), stack(self.canvas, context.to(dtype)), center)
        params = _of_channel(params[:, :, i, j], channel)
        if predictors is None:
            return params, None
        return params, _of_channel(predictors(self.canvas, context.border.to(dtype))[:, :, i, j], channel)


def check_temperature(temperature: float) -> None:
    """Raises: ValueError for a temperature that nothing can be drawn at."""
    if not COLDEST <= temperature < float("inf"):
        raise ValueError(f"temperature must be at least {COLDEST}, not {temperature}")


def sample_raster(
    parts: RasterParts, canvas: Tensor, precompute: Callable[[], Precomputed], noise: Tensor, options: SampleOptions
) -> Drawn:
    """Draw the hole's pixels in raster order.

    Args:
      parts: a decoder's, in eval mode.
      canvas: (B, 4, rows, columns), intensities in -1..1 and the mask of known pixels. Known pixels of the hole are
        kept; the others are not read.
      precompute: returns what does not depend on the center, in float32, for the whole batch.
      noise: the likelihood's, (B, uniforms_per_pixel, h, w).
      options: `progress` wraps the rows of the hole.

    Returns: the center, uint8 (B, 3, h, w), and, if `scored`, the log-probability of each sub-pixel at temperature 1,
      float32 of the same shape; undefined at pixels that were known.
    """
    dtype, parts = options.dtype, parts.converted(options.dtype)
    likelihood, geometry = parts.likelihood, parts.stack.canvas
    source: ParamsSource = (IncrementalParams if options.cached else PlainParams)(parts, canvas.to(dtype), precompute)
    hole = geometry.hole_of(source.canvas)  # a view: what is drawn appears on the canvas
    known = hole[:, 3].bool().permute(1, 2, 0).unsqueeze(-1)  # (h, w, B, 1)
    any_known, all_known = known.any(dim=2)[..., 0].tolist(), known.all(dim=2)[..., 0].tolist()
    levels_known = denormalize(hole[:, :3]).round().to(torch.uint8).permute(2, 3, 0, 1)  # (h, w, B, 3)
    hole[:, :3], hole[:, 3] = 0, 1
    channels = (0, 1, 2) if parts.head.by_color else (None,)  # drawn one by one, or all from the same params
    colors, noise = hole[:, :3].permute(2, 3, 0, 1), noise.to(dtype).permute(2, 3, 0, 1).contiguous()
    drawn, scores, pixels = [], [], source.pixels()
    for i in options.progress(range(geometry.height)):
        for _, j in itertools.islice(pixels, geometry.width):
            pixel, pixel_noise = colors[i, j], noise[i, j]  # (B, 3), a view, and (B, uniforms_per_pixel)
            for channel in channels:
                params, predictions = source.params(i, j, pixel, channel)
                mine = slice(None) if channel is None else slice(channel, channel + 1)
                levels = levels_known[i, j][:, mine]
                if not all_known[i][j]:
                    u = pixel_noise if channel is None else pixel_noise[:, mine]
                    sampled = likelihood.sample(params, u, options.temperature, predictions)
                    levels = torch.where(known[i, j], levels, sampled) if any_known[i][j] else sampled
                pixel[:, mine] = normalize(levels, dtype)
                drawn.append(levels)
                if options.scored:
                    scores.append(likelihood.log_prob(likelihood.to_absolute(params, predictions), levels))
    shape = (-1, geometry.height, geometry.width, 3)
    center = torch.cat(drawn, dim=1).reshape(shape).permute(0, 3, 1, 2).contiguous()
    nats = torch.cat(scores, dim=1).reshape(shape).permute(0, 3, 1, 2).float() if options.scored else None
    return center, nats


def _of_channel(params: Tensor, channel: int | None) -> Tensor:
    """One channel's third of (B, P), or all of it."""
    return params if channel is None else params.chunk(3, dim=1)[channel]


def _converted(module: Part, dtype: torch.dtype) -> Part:
    return copy.deepcopy(module).to(dtype).eval()
