"""Centers drawn coarse to fine: every second pixel of each row and column first, then the others given these.

`Finer` joins two nets, one for the photo of half the resolution and one for the rest, each with a tower of its own that
sees all that is known by then. With a causal stack in both this is the multi-scale PixelRNN [1] (`multiscale`), with
any other decoder in its place. `parallel` [2] halves three times: a causal stack draws the coarsest grid, and at each
doubling `Quarters` draws the three pixels missing of every four in three turns, each turn all its pixels at once, so
that a 32 x 32 center takes 16 steps and nine passes. The probability of a center is the product of its parts', exactly.
Departs from [1] and [2]: the coarser center is part of the finer one's border, marked as known, and not upsampled by
layers of its own; towers see the photo's border, at any resolution all of it; means and copies start from the pixels
known around (anchor.py).

[1] van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759   [2] Reed et al. 2017, arXiv:1703.03664
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.anchor import BETWEEN, CopiesAround, Interpolations
from models.drawing import How
from models.head import Head
from models.likelihoods import Likelihood
from models.net import Caption, Net, at_least_float32
from models.stack import Hole
from models.window import Region


class Half:
    """The photo of half the resolution: of every two by two pixels the one in the place that the hole's upper left has
    among its four. The other three, from which a tower still reads the whole border, are channels after the first four.

    Attributes:
      hole, image_size: there. An odd side is made even by pixels that are not known.
    """

    def __init__(self, hole: Hole, image_size: int):
        top, left, h, w = hole
        self._place = top % 2 * 2 + left % 2
        self.hole = (top // 2, left // 2, -(-h // 2), -(-w // 2))
        self.image_size = 2 * -(-image_size // 4)

    def of(self, x: Tensor) -> Tensor:
        """(B, C, S, S), intensities and mask before all else, -> (B, 4C, image_size, image_size)."""
        x = F.pixel_unshuffle(x, 2)  # four places of the first channel, four of the second ...
        own = [4 * channel + self._place for channel in range(4)]
        x = x[:, own + [channel for channel in range(x.shape[1]) if channel not in own]]
        missing = self.image_size - x.shape[2]
        return F.pad(x, (0, missing, 0, missing)).contiguous(memory_format=torch.channels_last)


class Finer(nn.Module):
    """A net for the photo of half the resolution, and one for what that leaves out. Its methods are those of `Net`.

    Args:
      coarse: for the `Half` of the photo.
      fine: for the photo, given the coarse pixels.
    """

    one_pass = False

    def __init__(self, coarse: "Net | Finer", fine: "Net | Quarters", hole: Hole, image_size: int):
        super().__init__()
        self.coarse, self.fine = coarse, fine
        self.half = Half(hole, image_size)
        self.hole = Region.of_hole(hole, image_size, image_size)

    def order(self, height: int, width: int) -> Tensor:
        first = self.coarse.order(*self.half.hole[2:])
        rank = self.fine.order(height, width) + first.max() + 1
        rank[:, ::2, ::2] = first
        return rank

    def params(self, x: Tensor, caption: Caption, own: Tensor, everywhere: bool = False) -> Tensor:
        coarse = self.coarse.params(self.half.of(x), halved(caption), own[:, :, ::2, ::2], everywhere)
        if own.shape == coarse.shape[:1] + (3, 1, 1):  # there is nothing finer
            return coarse
        fine = self.fine.params(self._with(x, own[:, :, ::2, ::2]), caption, own, everywhere).clone()
        fine[:, :, ::2, ::2] = coarse
        return fine

    def draw(self, x: Tensor, caption: Caption, noise: Tensor, how: How) -> tuple[Tensor, Tensor | None]:
        small, small_nats = self.coarse.draw(self.half.of(x), halved(caption), noise[:, :, ::2, ::2], how)
        fixed = torch.zeros(noise.shape[2:], dtype=torch.bool)
        fixed[::2, ::2] = True
        center, nats = self.fine.draw(self._with(x, small / 127.5 - 1), caption, noise, how, fixed)
        center[:, :, ::2, ::2] = small
        if how.scored:
            nats[:, :, ::2, ::2] = small_nats
        return center, nats

    def _with(self, x: Tensor, coarse: Tensor) -> Tensor:
        """x with the coarse pixels (B, 3, h, w) in -1..1 known."""
        return with_known(x, self.hole, (slice(None, None, 2), slice(None, None, 2)), coarse)


class Quarters(nn.Module):
    """Of every two by two pixels, whose upper left one is known, first the right one, then the one below, then that
    between them: each turn all pixels at once, from one pass of a tower. Its methods are those of `Net`.

    Args:
      tower, head: the same in all turns; the mask says what is known.
      likelihood: whose params come out.
      copies: whether it weighs copies of known pixels, and not predictions from them.
    """

    def __init__(self, tower: nn.Module, head: Head, likelihood: Likelihood, hole: Hole, image_size: int, copies: bool):
        super().__init__()
        self.tower, self.head, self.likelihood = tower, head, likelihood
        self.hole = Region.of_hole(hole, image_size, image_size)
        self.turns = tuple(BETWEEN)
        self.anchors = nn.ModuleList(self._anchor(begin, copies) for begin in BETWEEN.values())

    def _anchor(self, begin: tuple[dict, ...], copies: bool) -> nn.Module | None:
        if not self.likelihood.anchors:
            return None
        if copies:
            return CopiesAround(self.hole)
        return Interpolations(self.hole, self.likelihood.anchors, begin)

    def order(self, height: int, width: int) -> Tensor:
        colours = self.likelihood.coupled or self.head.by_colour
        rank = torch.zeros(3, height, width, dtype=torch.int64)
        for turn, (row, column) in enumerate(self.turns):
            rank[:, row::2, column::2] = turn
        return rank * (3 if colours else 1) + torch.arange(3).reshape(3, 1, 1) * colours

    def params(self, x: Tensor, caption: Caption, own: Tensor, everywhere: bool = False) -> Tensor:
        out = None
        for turn in range(len(self.turns)):
            at = (..., *self._at(turn))
            if own[at].numel():
                given, anchor = self._before(turn, x, caption, everywhere)
                params = self._params(given, anchor, own[at])
                out = params.new_zeros(*params.shape[:2], *own.shape[2:]) if out is None else out
                out[at] = params
                x = with_known(x, self.hole, self._at(turn), own[at])
        return out

    def draw(
        self, x: Tensor, caption: Caption, noise: Tensor, how: How, fixed: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if how.shares > 1:
            shares = zip(x.chunk(how.shares), caption.chunk(how.shares), noise.chunk(how.shares), strict=True)
            drawn, nats = zip(*(self.draw(*share, how._replace(shares=1)) for share in shares), strict=True)
            return torch.cat(drawn), torch.cat(nats) if how.scored else None
        center = torch.zeros(noise.shape[0], 3, *noise.shape[2:], dtype=torch.uint8, device=noise.device)
        nats = torch.zeros(center.shape, device=noise.device) if how.scored else None
        for turn in how.progress(range(len(self.turns))):
            at = (..., *self._at(turn))
            if not center[at].numel():
                continue
            given, anchor = self._before(turn, x, caption)
            levels = center[at].clone()
            for colours in [slice(k, k + 1) for k in range(3)] if self.head.by_colour else [slice(None)]:
                params = self._params(given, anchor, levels / 127.5 - 1)
                drawn = self.likelihood.sample(params, noise[at], how.temperature)
                levels[:, colours] = drawn[:, colours]
            if how.scored:
                nats[at] = self.likelihood.log_prob(self._params(given, anchor, levels / 127.5 - 1), levels)
            center[at] = levels
            x = with_known(x, self.hole, self._at(turn), levels / 127.5 - 1)
        return center, nats

    def _at(self, turn: int) -> tuple[slice, slice]:
        row, column = self.turns[turn]
        return slice(row, None, 2), slice(column, None, 2)

    def _before(self, turn: int, x: Tensor, caption: Caption, everywhere: bool = False) -> tuple[Tensor, Tensor | None]:
        """The head's `given` and the anchor at a turn's pixels."""
        at = (..., *self._at(turn))
        features = self.tower(x, everywhere=everywhere)[at]  # (B, C, h', w')
        given = self.head.given(features, None if caption.map is None else caption.map[at])
        anchor = self.anchors[turn]
        if anchor is None:
            return given, None
        with torch.autocast(x.device.type, enabled=False):
            return given, anchor(x)[at]

    def _params(self, given: Tensor, anchor: Tensor | None, own: Tensor) -> Tensor:
        params = at_least_float32(self.head(given, None, own))
        if anchor is None:
            return params
        with torch.autocast(given.device.type, enabled=False):
            return self.likelihood.anchored(params, anchor)


def with_known(x: Tensor, hole: Region, at: tuple[slice, slice], own: Tensor) -> Tensor:
    """x (B, 4, H, W) with some of the hole's pixels known: own (B, 3, ...) in -1..1."""
    x = x.clone()
    inside = x[:, :, hole.top : hole.bottom, hole.left : hole.right]
    inside[(slice(None), slice(3), *at)] = own.to(x.dtype)
    inside[(slice(None), 3, *at)] = 1
    return x


def halved(caption: Caption) -> Caption:
    """A caption as the net for half the resolution reads it."""
    return Caption(caption.summary, None if caption.map is None else caption.map[:, :, ::2, ::2])
