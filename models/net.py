"""One way through the house, from what is known of a photo to the params of its hole's pixels, and to a sample of them.

`Net` is border tower, causal stack and head; `contour`'s has no stack. It can be told some of the hole's pixels
beforehand (see scales.py): they are part of `x`, the photo with all that is known of it, and marked so.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.anchor import Copies, Predictions
from models.drawing import How, Parts, draw
from models.head import Head
from models.likelihoods import Likelihood
from models.stack import Context, Stack


class Caption(NamedTuple):
    """What captions give a net.

    Attributes:
      summary: (B, S + FOUND); None unless it enters every layer.
      map: (B, 1, h, w), the caption maps at the hole's pixels; None without captions.
    """

    summary: Tensor | None
    map: Tensor | None

    def chunk(self, count: int) -> list["Caption"]:
        """Of so many equal shares of the images."""
        parts = [[None] * count if part is None else part.chunk(count) for part in self]
        return [Caption(*of_share) for of_share in zip(*parts, strict=True)]

    @staticmethod
    def joined(captions: Sequence["Caption"]) -> "Caption":
        """Of all their images."""
        return Caption(*(None if parts[0] is None else torch.cat(parts) for parts in zip(*captions, strict=True)))


class Known(NamedTuple):
    """What is computed before the first pixel: the stack's context (None without one), and the head's `given`."""

    context: Context | None
    given: Tensor

    @staticmethod
    def joined(known: Sequence["Known"]) -> "Known":
        """Of all their images."""
        contexts, given = zip(*known, strict=True)
        return Known(None if contexts[0] is None else Context.joined(contexts), torch.cat(given))


class Net(nn.Module):
    """See the module.

    Args:
      blank: whether nothing at all is known beforehand, so that the tower sees the same for every image.

    Attributes:
      one_pass: whether all pixels come of one pass, so that there is a mean.
    """

    def __init__(
        self,
        tower: nn.Module,
        stack: Stack | None,
        head: Head,
        anchor: Predictions | Copies | None,
        likelihood: Likelihood,
        blank: bool = False,
    ):
        super().__init__()
        self.tower, self.stack, self.head, self.anchor, self.likelihood = tower, stack, head, anchor, likelihood
        self.one_pass, self.blank = stack is None, blank

    def order(self, height: int, width: int) -> Tensor:
        """(3, h, w) int64: the rank in which the hole's sub-pixels are drawn."""
        colours = self.likelihood.coupled or self.head.by_colour
        channels = torch.arange(3).reshape(3, 1, 1) * colours
        pixels = torch.arange(height * width).reshape(height, width) * (self.stack is not None)
        return channels.expand(3, height, width) + pixels * (3 if colours else 1)

    def before(self, x: Tensor, caption: Caption, everywhere: bool = False) -> Known:
        """x (B, 4, H, W), the intensities in -1..1 that are known, zero elsewhere, and the mask of what is known;
        more channels are for the tower alone."""
        seen = self._tower_input(x[:1] if self.blank else x)
        features = self.tower(seen, everywhere=everywhere).expand(x.shape[0], -1, -1, -1)  # (B, C, h, w)
        given = self.head.given(features, caption.map)
        if self.stack is None:
            return Known(None, given)
        return Known(Context(self.stack.canvas.around(features), caption.summary, x[:, :4]), given)

    def params(self, x: Tensor, caption: Caption, own: Tensor | None, everywhere: bool = False) -> Tensor:
        """The likelihood's params (B, P, h, w), float32 or more.

        Args:
          x: as `before` takes it.
          own: (B, 3, h, w) in -1..1, the center; a stack needs it.
          everywhere: run the tower on all of the image.
        """
        context, given = self.before(x, caption, everywhere)
        if self.stack is None:
            return at_least_float32(self.head(given))
        canvas = self.stack.canvas.of(x[:, :4])  # (B, 4, rows, columns)
        hole = self.stack.canvas.hole_of(canvas)
        hole[:, :3], hole[:, 3] = own, 1
        params = at_least_float32(self.head(given, self.stack(canvas, context), own))
        if self.anchor is None:
            return params
        with torch.autocast(x.device.type, enabled=False):
            return self.likelihood.anchored(params, self.anchor(canvas, x))

    def draw(
        self, x: Tensor, caption: Caption, noise: Tensor, how: How, fixed: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """A center drawn, uint8 (B, 3, h, w), and its nats float32 of the same shape, or None.

        Args:
          x, caption: as `params` takes them.
          noise: the likelihood's (B, uniforms_per_pixel, h, w).
          how: what runs in float32, whose last digit may depend on a batch's size, runs share by share.
          fixed: bool (h, w), the pixels that x knows already; what comes out there means nothing.
        """
        if self.stack is not None:
            parts = Parts(self.stack, self.head, self.likelihood, self.anchor)

            def known() -> Known:
                shares = zip(x.chunk(how.shares), caption.chunk(how.shares), strict=True)
                return Known.joined([self.before(*share) for share in shares])

            return draw(parts, self.stack.canvas.of(x[:, :4]), known, noise, how, fixed)
        shares = zip(x.chunk(how.shares), caption.chunk(how.shares), strict=True)
        params = torch.cat([self.params(*share, None) for share in shares])
        center = self.likelihood.sample(params, noise, how.temperature)
        nats = self.likelihood.log_prob(params, center) if how.scored else None
        return center, nats

    def _tower_input(self, x: Tensor) -> Tensor:
        """(B, 4, H, W) as it is, or for the 2017 net x/255 without the mask: (B, 3, H, W), zero where unknown."""
        return x if self.tower.uses_mask else (x[:, :3] + x[:, 3:]) / 2


def at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
