"""A decoder: everything between pixels and the likelihood's params. `CausalDecoder.params` is the picture of the model.

    border, mask ──> border tower ───────────┐
    center so far ─> causal stack ───────────┼─> two 1x1 layers ─> likelihood ─> nats per sub-pixel
    caption ───────> char-CNN-GRU ─> map ────┘      (the map enters here)        or a sample

`ContourDecoder` is the same without a stack. multiscale.py has those that draw coarse to fine.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from models.border_tower import BorderTower
from models.head import Head
from models.layers.maps import Context
from models.likelihoods.base import Likelihood
from models.predictors import CopyCandidates, LinearPredictors
from models.sampling import Drawn, Precomputed, RasterParts, SampleOptions, sample_raster
from models.stacks.base import Stack


class Caption(NamedTuple):
    """What a decoder reads of captions.

    Attributes:
      summary: (B, S + FOUND); None unless captions enter every layer.
      map: (B, 1, h, w), the caption maps at the hole's pixels; None without captions.
    """

    summary: Tensor | None
    map: Tensor | None

    def chunk(self, count: int) -> list["Caption"]:
        """Those of so many equal shares of the images."""
        summaries = [None] * count if self.summary is None else self.summary.chunk(count)
        maps = [None] * count if self.map is None else self.map.chunk(count)
        return [Caption(*share) for share in zip(summaries, maps, strict=True)]

    @staticmethod
    def joined(captions: Sequence["Caption"]) -> "Caption":
        """Those of all their images."""
        summaries, maps = zip(*captions, strict=True)
        return Caption(joined(summaries), joined(maps))

    def halved(self) -> "Caption":
        """As a decoder of half the resolution reads it."""
        return Caption(self.summary, None if self.map is None else self.map[:, :, ::2, ::2])


class Decoder(nn.Module, ABC):
    """What the single-scale decoders, the multi-scale one and the parallel one share.

    In all of them `image` is float32 (B, 4, H, W): the known intensities in -1..1, zero elsewhere, and the mask of what
    is known. More channels are for the border tower alone.

    Attributes:
      one_pass: whether all pixels come of one pass, so that there is a mean.
    """

    one_pass: ClassVar[bool] = False

    @abstractmethod
    def order(self) -> Tensor:
        """(3, h, w) int64: the rank in which the hole's sub-pixels are drawn."""

    @abstractmethod
    def params(self, image: Tensor, caption: Caption, center: Tensor | None, everywhere: bool = False) -> Tensor:
        """The likelihood's params (B, P, h, w), float32 or more.

        Args:
          center: (B, 3, h, w) in -1..1; only a `one_pass` decoder does without.
          everywhere: run the tower on all of the image (the reference that tests compare with).

        Raises: ValueError if the center is missing.
        """

    @abstractmethod
    def draw(self, image: Tensor, caption: Caption, noise: Tensor, options: SampleOptions) -> Drawn:
        """A center, uint8 (B, 3, h, w), and its nats float32 of the same shape, or None unless `options.scored`. Both
        are undefined at pixels of the hole that `image` knows already.

        Args:
          noise: the likelihood's (B, uniforms_per_pixel, h, w).
          options: what runs in float32, whose last digit may depend on a batch's size, runs share by share.
        """

    def raster_parts(self) -> RasterParts | None:
        """What runs for each pixel in turn; None if pixels come from whole passes."""
        return None

    def scales(self, image: Tensor, caption: Caption, noise: Tensor) -> list["Scale"]:
        """The decoders of each scale, from coarse to fine, and what each would read, but for what coarser ones draw."""
        return [Scale(self, image, caption, noise)]


class Scale(NamedTuple):
    """A decoder of one scale and the arguments of its `draw`."""

    decoder: Decoder
    image: Tensor
    caption: Caption
    noise: Tensor


class SingleScale(Decoder):
    """What decoders of one scale share: a tower, a head, a likelihood.

    Args:
      blank: whether nothing at all is known of an image, so that the tower sees the same for every one.
    """

    def __init__(self, tower: BorderTower, stack: Stack | None, head: Head, likelihood: Likelihood, blank: bool):
        super().__init__()
        self.tower, self.stack, self.head, self.likelihood = tower, stack, head, likelihood
        self.blank = blank

    def border_features(self, image: Tensor, everywhere: bool = False) -> Tensor:
        """(B, C, h, w), the tower's at the hole's pixels."""
        seen = self.tower.prepare(image[:1] if self.blank else image)
        features: Tensor = self.tower(seen, everywhere=everywhere)
        return features.expand(image.shape[0], -1, -1, -1)


class ContourDecoder(SingleScale):
    """No causal stack: given border and caption, pixels are independent, and one pass gives them all."""

    one_pass = True

    def order(self) -> Tensor:
        return color_ranks(self.likelihood.coupled).expand(3, *self.tower.hole[2:])

    def params(self, image: Tensor, caption: Caption, center: Tensor | None, everywhere: bool = False) -> Tensor:
        border = self.border_features(image, everywhere)  # (B, C, h, w)
        hidden = self.head.first(border, caption.map)  # (B, width, h, w)
        return at_least_float32(self.head(hidden))  # (B, P, h, w)

    def draw(self, image: Tensor, caption: Caption, noise: Tensor, options: SampleOptions) -> Drawn:
        shares = zip(image.chunk(options.shares), caption.chunk(options.shares), strict=True)
        params = torch.cat([self.params(*share, None) for share in shares])
        center = self.likelihood.sample(params, noise, options.temperature)
        return center, self.likelihood.log_prob(params, center) if options.scored else None


class CausalDecoder(SingleScale):
    """A causal stack on the center's pixels so far; its likelihood may start from predictions of known pixels."""

    stack: Stack

    def __init__(
        self,
        tower: BorderTower,
        stack: Stack,
        head: Head,
        predictors: LinearPredictors | CopyCandidates | None,
        likelihood: Likelihood,
        blank: bool,
    ):
        super().__init__(tower, stack, head, likelihood, blank)
        self.anchor = predictors  # the name that checkpoints know

    def order(self) -> Tensor:
        h, w = self.stack.canvas.height, self.stack.canvas.width
        colors = self.likelihood.coupled or self.head.by_color
        return color_ranks(colors) + torch.arange(h * w).reshape(h, w) * (3 if colors else 1)

    def params(self, image: Tensor, caption: Caption, center: Tensor | None, everywhere: bool = False) -> Tensor:
        border = self.border_features(image, everywhere)  # (B, C, h, w)                     border tower
        canvas = self.stack.canvas.complete(image, needed(center))  # (B, 4, rows, columns)  center so far
        context = self.context(border, caption, image)  #                                    conditions the stack
        causal = self.stack(canvas, context)  # (B, S, h, w)                                 causal stack
        hidden = self.head.first(border, caption.map)  # (B, width, h, w)                    the caption map enters
        params = self.head(hidden, causal, center)  # (B, P, h, w)                           two 1x1 layers
        return self.absolute(params, canvas, image)  # (B, P, h, w)                          what the likelihood reads

    def context(self, border: Tensor, caption: Caption, image: Tensor) -> Context:
        """What the stack is conditioned on, of the tower's features (B, C, h, w)."""
        return Context(self.stack.canvas.around(border), caption.summary, image[:, :4])

    def absolute(self, params: Tensor, canvas: Tensor, image: Tensor) -> Tensor:
        """The head's params as the likelihood reads them: float32, no longer relative to predictions."""
        params = at_least_float32(params)
        if self.anchor is None:
            return params
        with torch.autocast(image.device.type, enabled=False):
            return self.likelihood.to_absolute(params, self.anchor(canvas, image))

    def draw(self, image: Tensor, caption: Caption, noise: Tensor, options: SampleOptions) -> Drawn:
        def precompute() -> Precomputed:
            shares = zip(image.chunk(options.shares), caption.chunk(options.shares), strict=True)
            contexts, firsts = zip(*(self.before_drawing(*share) for share in shares), strict=True)
            return Precomputed(Context.joined(contexts), torch.cat(firsts))

        return sample_raster(self.raster_parts(), self.stack.canvas.of(image[:, :4]), precompute, noise, options)

    def raster_parts(self) -> RasterParts:
        return RasterParts(self.stack, self.head, self.likelihood, self.anchor)

    def before_drawing(self, image: Tensor, caption: Caption) -> Precomputed:
        """What `params` computes that does not depend on the center."""
        border = self.border_features(image)
        return Precomputed(self.context(border, caption, image), self.head.first(border, caption.map))


def joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Tensors along the batch; None if there are none."""
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None


def needed(center: Tensor | None) -> Tensor:
    """The center. Raises: ValueError if there is none."""
    if center is None:
        raise ValueError("the params of this decoder depend on the center, and there is none")
    return center


def color_ranks(colors: bool) -> Tensor:
    """(3, 1, 1) int64: 0, 1, 2 if a pixel's colors are drawn one after the other, zeros if together."""
    return torch.arange(3).reshape(3, 1, 1) * colors


def at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
