"""Decoders: everything between pixels and the likelihood's params. `CausalDecoder.params` is this picture as code.

    border, mask ──> border tower ───────────┐
    center so far ─> causal stack ───────────┼─> two 1x1 layers ─> likelihood ─> nats per sub-pixel
    caption ───────> char-CNN-GRU ─> map ────┘   (the map enters here)  ↑        or a sample
    pixels around ─> predictors ────────────────────────────────────────┘

`ContourDecoder` is the same without a stack. multiscale.py has the decoders that draw coarse to fine.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from models.border_tower import BorderTower
from models.error_energy import ErrorEnergy
from models.head import Head
from models.layers.maps import Context
from models.likelihoods.base import Likelihood
from models.predictors import CopyCandidates, LinearPredictors
from models.repeats import without_repeats
from models.sampling import Drawn, SampleOptions, sample_raster
from models.sources import Precomputed, RasterParts
from models.stacks.base import Stack


class Caption(NamedTuple):
    """The captions of a batch, encoded.

    Attributes:
      summary: (B, K), the caption encoder's summary; None unless captions enter every layer.
      map: (B, 1, h, w), the caption maps at the hole's pixels; None without captions.
    """

    summary: Tensor | None
    map: Tensor | None

    def chunk(self, count: int) -> list["Caption"]:
        """Split into equal shares of the batch."""
        summaries = [None] * count if self.summary is None else self.summary.chunk(count)
        maps = [None] * count if self.map is None else self.map.chunk(count)
        return [Caption(*share) for share in zip(summaries, maps, strict=True)]

    @staticmethod
    def joined(captions: Sequence["Caption"]) -> "Caption":
        """Concatenate along the batch."""
        summaries, maps = zip(*captions, strict=True)
        return Caption(joined(summaries), joined(maps))

    def halved(self) -> "Caption":
        """For a decoder of half the resolution: every second row and column of the map."""
        return Caption(self.summary, None if self.map is None else self.map[:, :, ::2, ::2])


class Decoder(nn.Module, ABC):
    """The interface of single-scale, multi-scale and parallel decoders.

    In all of them `image` is float32 (B, 4, H, W): the known intensities in -1..1, zero elsewhere, and the mask of
    known pixels. Further channels are read by the border tower alone.

    Attributes:
      one_pass: whether one pass gives all pixels, so that there is a mean.
      any_mask: whether pixels inside the hole may be known.
    """

    one_pass: ClassVar[bool] = False
    any_mask: bool = True

    @abstractmethod
    def order(self) -> Tensor:
        """The rank in which the hole's sub-pixels are drawn: (3, h, w) int64."""

    @abstractmethod
    def params(self, image: Tensor, caption: Caption, center: Tensor | None, everywhere: bool = False) -> Tensor:
        """The likelihood's params (B, P, h, w), float32 or more.

        Args:
          center: (B, 3, h, w) in -1..1, known pixels included; None is enough for a `one_pass` decoder.
          everywhere: run the tower on all of the image (the reference that tests compare with).

        Raises: ValueError if the center is missing.
        """

    @abstractmethod
    def draw(self, image: Tensor, caption: Caption, noise: Tensor, options: SampleOptions) -> Drawn:
        """Draw a center. Both results are undefined at pixels of the hole that `image` knows already.

        Args:
          noise: the likelihood's, (B, uniforms_per_pixel, h, w).
          options: float32 parts run share by share, as their last digit may depend on the batch size.

        Returns: uint8 (B, 3, h, w), and if `options.scored` its nats, float32 of the same shape.
        """

    def raster_parts(self) -> RasterParts | None:
        """The parts that run again for each pixel; None if pixels come from whole passes."""
        return None

    def scales(self, image: Tensor, caption: Caption, noise: Tensor) -> list["Scale"]:
        """The decoders of each scale, coarse to fine, with arguments that lack only what the coarser ones draw."""
        return [Scale(self, image, caption, noise)]


class Scale(NamedTuple):
    """A decoder of one scale and the arguments of its `draw`."""

    decoder: Decoder
    image: Tensor
    caption: Caption
    noise: Tensor


class SingleScale(Decoder):
    """A decoder of one scale: a tower, a stack or none, a head.

    Args:
      blank: whether the hole is the whole image, so that without known pixels, in this grid or a finer one, the tower's
        input is always the same.
    """

    def __init__(self, tower: BorderTower, stack: Stack | None, head: Head, likelihood: Likelihood, blank: bool):
        super().__init__()
        self.tower, self.stack, self.head, self.likelihood = tower, stack, head, likelihood
        self.blank = blank
        self.any_mask = tower.sees_mask

    def border_features(self, image: Tensor, everywhere: bool = False) -> Tensor:
        """The tower's features at the hole's pixels, (B, C, h, w)."""

        def tower(image: Tensor) -> Tensor:
            features: Tensor = self.tower(self.tower.prepare(image), everywhere=everywhere)
            return features

        one = self.blank and not image[:, 3:].any()
        return without_repeats(tower, image[:1] if one else image).expand(image.shape[0], -1, -1, -1)


class ContourDecoder(SingleScale):
    """No causal stack: pixels are independent given border and caption."""

    one_pass = True

    def order(self) -> Tensor:
        return color_ranks(self.likelihood.coupled).expand(3, *self.tower.hole[2:]).clone()

    def params(self, image: Tensor, caption: Caption, center: Tensor | None, everywhere: bool = False) -> Tensor:
        border = self.border_features(image, everywhere)  # (B, C, h, w)
        hidden = self.head.first(border, caption.map, caption.summary)  # (B, width, h, w)
        return at_least_float32(self.head(hidden, caption_map=caption.map))  # (B, P, h, w)

    def draw(self, image: Tensor, caption: Caption, noise: Tensor, options: SampleOptions) -> Drawn:
        shares = zip(image.chunk(options.shares), caption.chunk(options.shares), strict=True)
        params = torch.cat([self.params(*share, None) for share in shares])
        center = self.likelihood.sample(params, noise, options.temperature)
        return center, self.likelihood.log_prob(params, center) if options.scored else None


class CausalDecoder(SingleScale):
    """A causal stack reads the center's pixels so far; params may be relative to predictions from known pixels."""

    stack: Stack

    def __init__(
        self,
        tower: BorderTower,
        stack: Stack,
        head: Head,
        predictors: LinearPredictors | CopyCandidates | None,
        likelihood: Likelihood,
        blank: bool,
        energy: ErrorEnergy | None = None,
    ):
        super().__init__(tower, stack, head, likelihood, blank)
        self.anchor = predictors  # named as in checkpoints
        self.energy = energy

    def order(self) -> Tensor:
        h, w = self.stack.canvas.height, self.stack.canvas.width
        colors = self.likelihood.coupled or self.head.by_color
        return color_ranks(colors) + torch.arange(h * w).reshape(h, w) * (3 if colors else 1)

    def params(self, image: Tensor, caption: Caption, center: Tensor | None, everywhere: bool = False) -> Tensor:
        border = self.border_features(image, everywhere)  # (B, C, h, w)                     border tower
        canvas = self.stack.canvas.complete(image, needed(center))  # (B, 4, rows, columns)  center so far
        context = self.context(border, caption, image)  #                                    conditions the stack
        causal = self.causal(canvas, context)  # (B, S, h, w)                                causal stack
        to_hidden, to_params = self.error_energy(canvas)  #                                  errors of predictors so far
        hidden = plus(self.head.first(border, caption.map), to_hidden)  # (B, width, h, w)   the caption map enters
        params = plus(self.head(hidden, causal, center), to_params)  # (B, P, h, w)          two 1x1 layers
        return self.absolute(params, canvas, image)  # (B, P, h, w)                          what the likelihood reads

    def context(self, border: Tensor, caption: Caption, image: Tensor) -> Context:
        """What the stack is conditioned on; `border` (B, C, h, w) are the tower's features."""
        return Context(self.stack.canvas.around(border), caption.summary, image[:, :4])

    def causal(self, canvas: Tensor, context: Context) -> Tensor:
        """The stack's features (B, S, h, w)."""

        def stack(canvas: Tensor, *context: Any) -> Tensor:
            features: Tensor = self.stack(canvas, Context(*context))
            return features

        return without_repeats(stack, canvas, context.tower, context.caption, context.border)

    def error_energy(self, canvas: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """What the predictors' errors add to the first 1x1 layer and to the params, see `Energy`."""
        return (None, None) if self.energy is None else self.energy(canvas, self.anchor)

    def absolute(self, params: Tensor, canvas: Tensor, image: Tensor) -> Tensor:
        """The head's params in float32 and no longer relative to predictions."""
        params = at_least_float32(params)
        if self.anchor is None:
            return params
        with torch.autocast(image.device.type, enabled=False):
            return self.likelihood.to_absolute(params, self.anchor(canvas, image))

    def draw(self, image: Tensor, caption: Caption, noise: Tensor, options: SampleOptions) -> Drawn:
        def precompute() -> Precomputed:
            return self.precomputed(image, caption, options.shares)

        return sample_raster(self.raster_parts(), image, precompute, noise, options)

    def precomputed(self, image: Tensor, caption: Caption, shares: int) -> Precomputed:
        """`before_drawing`, one share of the batch after the other."""
        parts = zip(image.chunk(shares), caption.chunk(shares), strict=True)
        return Precomputed.joined([self.before_drawing(*part) for part in parts])

    def raster_parts(self) -> RasterParts:
        return RasterParts(self.stack, self.head, self.likelihood, self.anchor, self.energy)

    def before_drawing(self, image: Tensor, caption: Caption) -> Precomputed:
        """The part of `params` that does not depend on the center."""
        border = self.border_features(image)
        return Precomputed(self.context(border, caption, image), self.head.first(border, caption.map))


def joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Concatenate along the batch; None if all are None."""
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None


def plus(x: Tensor, y: Tensor | None) -> Tensor:
    """Add y, if there is one."""
    return x if y is None else x + y


def needed(center: Tensor | None) -> Tensor:
    """Return the center. Raises: ValueError if there is none."""
    if center is None:
        raise ValueError("the params of this decoder depend on the center, and there is none")
    return center


def color_ranks(colors: bool) -> Tensor:
    """Ranks of a pixel's colors, (3, 1, 1) int64: 0, 1, 2 if drawn one after the other, else zeros."""
    return torch.arange(3).reshape(3, 1, 1) * colors


def at_least_float32(x: Tensor) -> Tensor:
    """A likelihood's params in float32 or more, each a plane: likelihoods work on some params of all pixels at once."""
    return x.to(torch.promote_types(x.dtype, torch.float32), memory_format=torch.contiguous_format)
