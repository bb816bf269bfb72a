"""Centers drawn coarse to fine: every second pixel of each row and column first, then the others given these.

`MultiScale` joins two decoders, one for the half-resolution photo and one for the rest, each with its own tower, which
sees all that is known by then. With a causal stack in both this is the multi-scale PixelRNN [1] (`multiscale`), with
any other decoder in place of the LSTM. `parallel` [2] halves three times: a causal stack draws the coarsest grid, and
at each doubling `ParallelUpscaler` draws the missing three of every four pixels in three turns, all pixels of a turn at
once. So a 32 x 32 center takes 26 network calls: the coarse tower once, 16 steps of the stack, nine passes of the finer
towers. A center's probability is exactly the product over scales.
Departs from [1] and [2]: the coarser center is part of the finer decoder's border, marked as known, instead of being
upsampled by separate layers; towers see all of the border at every resolution; params are relative to predictions from
known pixels on all sides (predictors.py).

[1] van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759   [2] Reed et al. 2017, arXiv:1703.03664
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.border_tower import BorderTower
from models.canvas import Hole
from models.decoder import Caption, Decoder, Scale, at_least_float32, color_ranks, needed
from models.head import Head
from models.intensity import denormalize, normalize
from models.layers.region import Region, crop, window
from models.likelihoods.base import Likelihood
from models.predictors import BETWEEN, CopiesAround, Interpolations, Shares
from models.sampling import Drawn, SampleOptions

Grid = tuple[slice, slice]  # rows and columns of the hole
EVERY_SECOND: Grid = (slice(None, None, 2), slice(None, None, 2))


class HalfResolution:
    """The half-resolution photo: of every two by two pixels one, such that the hole's upper left pixel is among them.
    The other three are further channels, from which a tower still reads the whole border.

    Attributes:
      hole, image_size: at half the resolution. An odd side is made even by unknown pixels.
    """

    def __init__(self, hole: Hole, image_size: int):
        top, left, h, w = hole
        self._place = top % 2 * 2 + left % 2
        self.hole: Hole = (top // 2, left // 2, -(-h // 2), -(-w // 2))
        self.image_size = 2 * -(-image_size // 4)

    def of(self, x: Tensor) -> Tensor:
        """(B, C, S, S), intensities and mask first -> (B, 4C, image_size, image_size), intensities and mask first."""
        x = F.pixel_unshuffle(x, 2)  # four places of the first channel, four of the second ...
        first = [4 * channel + self._place for channel in range(4)]
        x = x[:, first + [channel for channel in range(x.shape[1]) if channel not in first]]
        missing = self.image_size - x.shape[2]
        return F.pad(x, (0, missing, 0, missing)).contiguous(memory_format=torch.channels_last)


class MultiScale(Decoder):
    """A decoder for every second pixel of each row and column, and one for the rest.

    Args:
      coarse: for the half-resolution photo.
      fine: for the photo with the coarse pixels known.
    """

    def __init__(self, coarse: Decoder, fine: Decoder, hole: Hole, image_size: int):
        super().__init__()
        self.coarse, self.fine = coarse, fine
        self.half_resolution = HalfResolution(hole, image_size)
        self.hole = Region.of_hole(hole, image_size, image_size)

    def order(self) -> Tensor:
        first = self.coarse.order()
        rank = self.fine.order() + first.max() + 1
        rank[(..., *EVERY_SECOND)] = first
        return rank

    def params(self, image: Tensor, caption: Caption, center: Tensor | None, everywhere: bool = False) -> Tensor:
        center = needed(center)
        small = center[(..., *EVERY_SECOND)]
        coarse = self.coarse.params(self.half_resolution.of(image), caption.halved(), small, everywhere)
        if center.shape[2:] == (1, 1):  # there is nothing finer
            return coarse
        fine = self.fine.params(with_known(image, self.hole, EVERY_SECOND, small), caption, center, everywhere).clone()
        fine[(..., *EVERY_SECOND)] = coarse
        return fine

    def draw(self, image: Tensor, caption: Caption, noise: Tensor, options: SampleOptions) -> Drawn:
        small, small_nats = self.coarse.draw(
            self.half_resolution.of(image), caption.halved(), noise[(..., *EVERY_SECOND)], options
        )
        inside = crop(image, Region.whole(*image.shape[2:]), self.hole)[(..., *EVERY_SECOND)]
        pixels = torch.where(inside[:, 3:4] > 0, inside[:, :3], normalize(small).to(inside.dtype))
        center, nats = self.fine.draw(with_known(image, self.hole, EVERY_SECOND, pixels), caption, noise, options)
        center[(..., *EVERY_SECOND)] = small
        if nats is not None and small_nats is not None:
            nats[(..., *EVERY_SECOND)] = small_nats
        return center, nats

    def scales(self, image: Tensor, caption: Caption, noise: Tensor) -> list[Scale]:
        half = self.half_resolution.of(image), caption.halved(), noise[(..., *EVERY_SECOND)]
        return [*self.coarse.scales(*half), *self.fine.scales(image, caption, noise)]


class ParallelUpscaler(Decoder):
    """Draws three of every two by two pixels, given the upper left one, in three turns: right, below, diagonal. One
    pass of the tower gives all pixels of a turn.

    Args:
      tower, head: shared by all turns; the mask tells them what is known.
      predictors: whether params are relative to predictions.
    """

    def __init__(
        self,
        tower: BorderTower,
        head: Head,
        likelihood: Likelihood,
        hole: Hole,
        image_size: int,
        predictors: bool,
    ):
        super().__init__()
        self.tower, self.head, self.likelihood = tower, head, likelihood
        self.hole = Region.of_hole(hole, image_size, image_size)
        self.turns: list[Grid] = [(slice(row, None, 2), slice(column, None, 2)) for row, column in BETWEEN]
        # predictors of each turn, named as in checkpoints; empty if the likelihood reads no predictions
        self.anchors = nn.ModuleList(
            self._predictors(start) for start in BETWEEN.values() if predictors and likelihood.prediction_count
        )

    def _predictors(self, start: tuple[Shares, ...]) -> nn.Module:
        if self.likelihood.weighs_candidates:
            return CopiesAround(self.hole)
        return Interpolations(self.hole, self.likelihood.prediction_count, start)

    def order(self) -> Tensor:
        colors = self.likelihood.coupled or self.head.by_color
        rank = torch.zeros(3, self.hole.bottom - self.hole.top, self.hole.right - self.hole.left, dtype=torch.int64)
        for number, turn in enumerate(self.turns):
            rank[(..., *turn)] = number
        return rank * (3 if colors else 1) + color_ranks(colors)

    def params(self, image: Tensor, caption: Caption, center: Tensor | None, everywhere: bool = False) -> Tensor:
        center, out = needed(center), None
        for number, turn in enumerate(self.turns):
            pixels = center[(..., *turn)]
            if pixels.numel():
                params = self._params(*self._before_turn(number, image, caption, everywhere), pixels)
                if out is None:
                    out = params.new_zeros(*params.shape[:2], *center.shape[2:])
                out[(..., *turn)] = params
                image = with_known(image, self.hole, turn, pixels)
        assert out is not None  # a hole of one pixel is the coarse decoder's
        return out

    def draw(self, image: Tensor, caption: Caption, noise: Tensor, options: SampleOptions) -> Drawn:
        shares = zip(
            image.chunk(options.shares), caption.chunk(options.shares), noise.chunk(options.shares), strict=True
        )
        centers, nats = zip(*(self._draw_share(*share, options) for share in shares), strict=True)
        return torch.cat(centers), torch.cat(nats) if options.scored else None

    def _draw_share(self, image: Tensor, caption: Caption, noise: Tensor, options: SampleOptions) -> Drawn:
        inside = crop(image, Region.whole(*image.shape[2:]), self.hole)
        known = inside[:, 3:4] > 0  # (B, 1, h, w)
        center = torch.where(known, denormalize(inside[:, :3]).round(), 0).to(torch.uint8)  # (B, 3, h, w)
        nats = torch.zeros(center.shape, device=noise.device) if options.scored else None
        for number in options.progress(range(len(self.turns))):
            turn = (..., *self.turns[number])
            if not center[turn].numel():
                continue
            first, predictions = self._before_turn(number, image, caption)
            levels = center[turn].clone()
            for colors in [slice(k, k + 1) for k in range(3)] if self.head.by_color else [slice(None)]:
                params = self._params(first, predictions, normalize(levels))
                drawn = self.likelihood.sample(params, noise[turn], options.temperature)
                levels[:, colors] = torch.where(known[turn], levels, drawn)[:, colors]
            if nats is not None:
                params = self._params(first, predictions, normalize(levels))
                nats[turn] = self.likelihood.log_prob(params, levels)
            center[turn] = levels
            image = with_known(image, self.hole, self.turns[number], normalize(levels))
        return center, nats

    def _before_turn(
        self, number: int, image: Tensor, caption: Caption, everywhere: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """The head's first layer and the predictions at the pixels of a turn."""
        turn = (..., *self.turns[number])
        features = self.tower(self.tower.prepare(image), everywhere=everywhere)[turn]  # (B, C, h', w')
        first = self.head.first(features, None if caption.map is None else caption.map[turn])
        if not self.anchors:
            return first, None
        with torch.autocast(image.device.type, enabled=False):
            return first, self.anchors[number](image)[turn]

    def _params(self, first: Tensor, predictions: Tensor | None, pixels: Tensor) -> Tensor:
        params = at_least_float32(self.head(first, None, pixels))
        with torch.autocast(first.device.type, enabled=False):
            return self.likelihood.to_absolute(params, predictions)


def with_known(image: Tensor, hole: Region, grid: Grid, pixels: Tensor) -> Tensor:
    """Copy an image (B, 4 or more, H, W), put in some of the hole's pixels, (B, 3, ...) in -1..1, and mark them as
    known."""
    image = image.clone()
    inside = window(image, Region.whole(*image.shape[2:]), hole)
    inside[(slice(None), slice(3), *grid)] = pixels.to(image.dtype)
    inside[(slice(None), 3, *grid)] = 1
    return image
