"""Two directions: the model on the photo and on the mirrored photo, by the same weights, in twice the time.

A causal decoder that draws row by row gives the probability of a row given those above it and what is known. So does
the same decoder on the mirrored photo, and so does the mean of both. The product over rows of these means sums to one:
`TwoDirections`. Mixed row by row, and not image by image, each row has its own better direction. `contour` has no rows:
`TwoMeans` is the mean of both passes' logits. Training with flips has shown the model both.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from models.caption_sets import Captions
from models.decoder import Caption, CausalDecoder, ContourDecoder
from models.inpainter import Generators, Inpainter
from models.intensity import denormalize, normalize
from models.precision import in_float64
from models.row_sources import rows_of
from models.sampling import Drawn, SampleOptions
from models.sources import Precomputed, RasterParts


class TwoDirections(Inpainter):
    """An `Inpainter` whose rows come from either direction with equal probability.

    Args:
      model: whose networks it shares.

    Attributes:
      draws: whether it can draw with `cached=True`, too: if its stack goes in waves, as those of pixelcnn and rowlstm.

    Raises: ValueError if the decoder does not draw row by row, or if the mirrored hole is another one.
    """

    def __init__(self, model: Inpainter):
        super().__init__(model.net, model.likelihood, model.caption_encoder, model.config)
        self.training = model.training  # its networks are shared, and keep their modes
        if not draws_rows(model):
            raise ValueError(f"two directions need a decoder that draws row by row, and {model.decoder} does not")
        check_mirrored(model)
        self.draws: bool = cast(CausalDecoder, model.net).stack.cone

    def log_prob(
        self,
        border: Tensor,
        center: Tensor,
        captions: Captions | None = None,
        *,
        known: Tensor | None = None,
    ) -> Tensor:
        """As that of `Inpainter`, but a sub-pixel's nats are its share of its row's: their sum over the row is the log
        of the row's mean probability. Within a row there is no order of which they would be the single steps."""
        straight = super().log_prob(border, center, captions, known=known)
        turned = None if known is None else known.flip(3)
        mirrored = super().log_prob(border.flip(3), center.flip(3), captions, known=turned).flip(3)
        return mixed(straight, mirrored)

    @property
    def order(self) -> Tensor:
        """(3, h, w) int64: each sub-pixel's row, as a row has no order of its own."""
        _, _, h, w = self.hole
        return torch.arange(h)[:, None].expand(3, h, w).clone()

    forward = log_prob
    further_uniforms = 1  # the first pixel's of a row says from which side the row is drawn

    def sample_with_log_prob(
        self,
        border: Tensor,
        captions: Captions | None = None,
        *,
        known: Tensor | None = None,
        generator: Generators = None,
        **options: Any,
    ) -> tuple[Tensor, Tensor]:
        """As that of `Inpainter`; the drawn center is scored once more, as both directions have a say."""
        center = self.sample(border, captions, known=known, generator=generator, **options)
        with self._evaluating(), torch.no_grad():
            return center, self.log_prob(border, center, captions, known=known)

    def _draw_from(self, image: Tensor, caption: Caption, uniforms: Tensor, options: SampleOptions) -> Drawn:
        mirror, noise = uniforms[:, 0, :, 0] < 0.5, self.likelihood.noise(uniforms[:, 1:])
        both = torch.cat([image, image.flip(3)])  # (2 B, 4, H, W)

        def precompute() -> Precomputed:
            net = cast(CausalDecoder, self.net)
            return Precomputed.joined([net.precomputed(view, caption, options.shares) for view in both.chunk(2)])

        return draw_rows(cast(RasterParts, self.net.raster_parts()), both, precompute, noise, mirror, options), None


class BothSides(ContourDecoder):
    """A decoder of one pass that sees the photo and the mirrored photo: its params are the mean of both's.

    Args:
      net: the decoder whose layers it shares.
    """

    def __init__(self, net: ContourDecoder):
        super().__init__(net.tower, net.stack, net.head, net.likelihood, net.blank)

    def params(self, image: Tensor, caption: Caption, center: Tensor | None, everywhere: bool = False) -> Tensor:
        straight = super().params(image, caption, None, everywhere)
        mirrored = super().params(image.flip(3), caption, None, everywhere)
        return (straight + mirrored.flip(3)) / 2


class TwoMeans(Inpainter):
    """An `Inpainter` of one pass whose params are logits: the mean of those of photo and mirrored photo.

    Its pixels are independent given border and caption, so what it gives is one distribution, too.

    Args:
      model: whose networks it shares.

    Raises: ValueError if the model is another one, or if the mirrored hole is another one.
    """

    draws = True

    def __init__(self, model: Inpainter):
        if not (model.net.one_pass and model.likelihood.logits):
            raise ValueError(
                "two directions need a decoder that draws row by row, or contour with logits, not "
                f"{model.decoder} with {model.likelihood_name}"
            )
        check_mirrored(model)
        net = BothSides(cast(ContourDecoder, model.net))
        super().__init__(net, model.likelihood, model.caption_encoder, model.config)
        self.training = net.training = model.training  # what they share keeps its modes


def in_two_directions(model: Inpainter) -> TwoDirections | TwoMeans:
    """A model in two directions. Raises: ValueError if it cannot, as the two classes."""
    return TwoMeans(model) if model.net.one_pass else TwoDirections(model)


def check_mirrored(model: Inpainter) -> None:
    """Raise ValueError unless the mirrored photo has the same hole."""
    _, left, _, width = model.hole
    if 2 * left + width != model.image_size:
        raise ValueError(
            f"two directions need a hole in the middle of the image's width, not {list(model.hole)} in "
            f"{model.image_size} pixels"
        )


def draws_rows(model: Inpainter) -> bool:
    """Whether every sub-pixel of a row is drawn after all those of the rows above."""
    return model.net.raster_parts() is not None


def mixed(one: Tensor, other: Tensor) -> Tensor:
    """The nats of sub-pixels in two directions (B, 3, h, w) -> each one's share of its row's in the mean of both.

    A direction counts as much as the row speaks for it; what the row's mean lacks is shared out evenly over its unknown
    sub-pixels, those with nats other than 0.
    """
    rows, other_rows = (in_float64(x).sum(dim=(1, 3), keepdim=True) for x in (one, other))  # (B, 1, h, 1)
    mean = torch.logaddexp(rows, other_rows) - math.log(2)
    weight = torch.where(mean.isfinite(), torch.exp(rows - math.log(2) - mean), 0.5)
    shares = torch.where(weight > 0, weight * one, 0) + torch.where(weight < 1, (1 - weight) * other, 0)
    unknown = (one != 0) | (other != 0)
    lacking = (mean - shares.sum(dim=(1, 3), keepdim=True)).nan_to_num(0, 0, 0)
    count = unknown.sum(dim=(1, 3), keepdim=True).clamp(min=1)
    return (shares + torch.where(unknown, lacking / count, 0)).to(one.dtype)


def draw_rows(
    parts: RasterParts,
    both: Tensor,
    precompute: Callable[[], Precomputed],
    noise: Tensor,
    mirror: Tensor,
    options: SampleOptions,
) -> Tensor:
    """Draw the hole's unknown pixels row by row, each row in the photo or in the mirrored one.

    Every row is drawn in both, as a batch, and the one that is not asked for is replaced by the other, mirrored.

    Args:
      parts: a decoder's.
      both: (2 B, 4 or more, H, W), photos, then the same mirrored, as `sample_raster` takes them.
      precompute: returns what does not depend on the center, of both.
      noise: the likelihood's, (B, uniforms_per_pixel, h, w).
      mirror: bool (B, h), true where a row is drawn from right to left.

    Returns: uint8 (B, 3, h, w).
    """
    dtype, geometry, likelihood = options.dtype, parts.stack.canvas, parts.likelihood
    border, parts = both[:, :4].to(dtype), parts.frozen(dtype)
    canvas = geometry.of(border)
    hole = geometry.hole_of(canvas)  # a view
    known = hole[:, 3:].bool()  # (2 B, 1, h, w)
    hole[:, 3] = 1
    center = denormalize(hole[:, :3]).round().to(torch.uint8)
    noise = noise.to(dtype).repeat(2, 1, 1, 1)
    channels = (0, 1, 2) if parts.head.by_color else (None,)  # drawn one by one, or all from the same params
    source = rows_of(parts, canvas, border, precompute, options.cached)
    for i in options.progress(range(geometry.height)):
        source.start_row(i)
        for j in range(geometry.width):
            source.move(i, j)
            fixed = known[:, :, i, j]  # (2 B, 1)
            if fixed.all():
                source.skip()
                continue
            for channel in channels:
                mine = slice(3) if channel is None else slice(channel, channel + 1)
                params, predictions = source.params(channel)
                uniforms = noise[:, :, i, j] if channel is None else noise[:, mine, i, j]
                levels = likelihood.sample(params, uniforms, options.temperature, predictions)
                center[:, mine, i, j] = torch.where(fixed, center[:, mine, i, j], levels)
                source.put(mine, normalize(center[:, mine, i, j], dtype))
        straight, mirrored = center[:, :, i].chunk(2)  # (B, 3, w)
        row = torch.where(mirror[:, i, None, None], mirrored.flip(2), straight)
        center[:, :, i] = torch.cat([row, row.flip(2)])
        source.settle_row(i, normalize(center[:, :, i], dtype))
    return center[: len(mirror)]
