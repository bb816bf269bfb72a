"""Draw a center from a causal stack, sub-pixel by sub-pixel: one loop over a source of the likelihood's params.

sources.py has the sources: a whole pass for each sub-pixel, or only what is new, for a pixel or a wave of them. Stack
and head run in float64 by default: samples are rounded to levels, so in float32 sources, which differ in the seventh
digit, would now and then round differently and from there on draw different pictures.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.intensity import denormalize, normalize
from models.sources import Precomputed, RasterParts, source_of

COLDEST = 0.001  # the lowest temperature: division by a lower one can overflow
Drawn = tuple[Tensor, Tensor | None]  # a center, uint8 (B, 3, h, w), and its nats, float32 of the same shape


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


def check_temperature(temperature: float) -> None:
    """Raises: ValueError for a temperature that nothing can be drawn at."""
    if not COLDEST <= temperature < float("inf"):
        raise ValueError(f"temperature must be at least {COLDEST}, not {temperature}")


def sample_raster(
    parts: RasterParts, image: Tensor, precompute: Callable[[], Precomputed], noise: Tensor, options: SampleOptions
) -> Drawn:
    """Draw the hole's unknown pixels in raster order, or in waves that give the same.

    Args:
      parts: a decoder's.
      image: (B, 4 or more, H, W), intensities in -1..1, zero where unknown, and the mask of known pixels.
      precompute: returns what does not depend on the center, in float32, for the whole batch.
      noise: the likelihood's, (B, uniforms_per_pixel, h, w).
      options: `progress` wraps the rows of the hole, or the waves.

    Returns: the center, uint8 (B, 3, h, w), and, if `scored`, the log-probability of each sub-pixel at temperature 1,
      float32 of the same shape; undefined at pixels that are known in all images.
    """
    dtype, geometry = options.dtype, parts.stack.canvas
    height, width, count = geometry.height, geometry.width, geometry.height * geometry.width
    border, parts, likelihood = image[:, :4].to(dtype), parts.frozen(dtype), parts.likelihood
    canvas = geometry.of(border)
    hole = geometry.hole_of(canvas)  # a view
    known = hole[:, 3:].bool().permute(2, 3, 0, 1).flatten(0, 1)  # (h w, B, 1)
    any_known, all_known = known.any(dim=1).flatten().tolist(), known.all(dim=1).flatten().tolist()
    hole[:, 3] = 1
    center = denormalize(hole[:, :3]).round().to(torch.uint8).permute(2, 3, 0, 1).flatten(0, 1)  # (h w, B, 3)
    nats = torch.zeros(center.shape, dtype=dtype, device=center.device) if options.scored else None
    noise = noise.to(dtype).permute(2, 3, 0, 1).flatten(0, 1).contiguous()  # (h w, B, uniforms)
    channels = (0, 1, 2) if parts.head.by_color else (None,)  # drawn one by one, or all from the same params
    source = source_of(parts, canvas, border, precompute, options.cached)
    lines = [source.line_of(*divmod(index, width)) for index in range(count) if not all_known[index]]
    for number in options.progress(range(max(lines, default=-1) + 1)):  # to the last line with an unknown pixel
        for here in source.line(number):
            if all(all_known[here]):
                source.skip()
                continue
            for channel in channels:
                mine = slice(3) if channel is None else slice(channel, channel + 1)
                params, predictions = source.params(channel)
                uniforms = noise[here] if channel is None else noise[here][..., mine]
                levels = likelihood.sample(params, uniforms.flatten(0, 1), options.temperature, predictions)
                part = center[here][..., mine]  # (n, B, 3 or 1), a view
                drawn = levels.view(part.shape)
                part.copy_(torch.where(known[here], part, drawn) if any(any_known[here]) else drawn)
                levels = part.flatten(0, 1)
                source.put(mine, normalize(levels, dtype))
                if nats is not None:
                    scores = likelihood.log_prob(likelihood.to_absolute(params, predictions), levels)
                    nats[here][..., mine] = scores.view(part.shape)
    shape = (height, width)
    center = center.unflatten(0, shape).permute(2, 3, 0, 1).contiguous()
    return center, None if nats is None else nats.unflatten(0, shape).permute(2, 3, 0, 1).float()
