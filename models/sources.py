"""Where the likelihood's params come from while a center is drawn, pixel by pixel or wave by wave.

`PlainParams` runs the whole model again for each sub-pixel. `PixelParams` goes through the hole once and computes for
each pixel only what is new. `WaveParams` does so for all pixels of a wave at once, where a decoder allows it
(wave_pass.py). All give the same params, up to rounding.
"""

import copy
import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

import models.error_energy_twins
import models.predictor_waves
import models.stacks.pixelcnn_waves  # noqa: F401 - all register their twins
from models.error_energy import ErrorEnergy
from models.head import Head
from models.incremental import IncrementalPass
from models.layers.maps import Context
from models.layers.twins import Cursor, stepwise
from models.likelihoods.base import Likelihood
from models.predictors import ABOVE, SIDE, CopyCandidates, LinearPredictors, padded, trimmed
from models.stacks.base import Stack
from models.wave_pass import WavePass, slope

Part = TypeVar("Part", bound=nn.Module)
_FROZEN: "weakref.WeakKeyDictionary[nn.Module, nn.Module]" = weakref.WeakKeyDictionary()


class Precomputed(NamedTuple):
    """What does not depend on the center: the stack's context, and the head's first layer (B, width, h, w)."""

    context: Context
    first: Tensor

    @staticmethod
    def joined(parts: Sequence["Precomputed"]) -> "Precomputed":
        """Concatenate along the batch."""
        contexts, firsts = zip(*parts, strict=True)
        return Precomputed(Context.joined(contexts), torch.cat(firsts))


class RasterParts(NamedTuple):
    """The parts of a causal decoder that run again for each pixel."""

    stack: Stack
    head: Head
    likelihood: Likelihood
    predictors: LinearPredictors | CopyCandidates | None
    energy: ErrorEnergy | None = None

    def frozen(self, dtype: torch.dtype) -> "RasterParts":
        """Copies in that precision and in eval mode; the same ones as long as the weights stay as they are."""
        stack, head, likelihood, *others = self
        copied = [None if other is None else _frozen(other, dtype) for other in others]
        return RasterParts(_frozen(stack, dtype), _frozen(head, dtype), likelihood, *copied)  # type: ignore[arg-type]


class ParamsSource(Protocol):
    """Gives the likelihood's params of n pixels of the hole at a time; n is 1 unless they are drawn in waves.

    Attributes:
      lines: how many rows, or waves, there are.
    """

    lines: int

    def line_of(self, i: int, j: int) -> int:
        """The number of the hole's pixel (i, j)'s line."""

    def line(self, number: int) -> Iterator[slice]:
        """Move through a line. Yields the indices of the next n pixels among the hole's h w, row by row."""

    def params(self, channel: int | None) -> tuple[Tensor, Tensor | None]:
        """Params (n B, P) and predictions (n B, 3 k), or one channel's third of both, given the channels before it."""

    def skip(self) -> None:
        """In place of `params`, where all n pixels are known."""

    def put(self, channels: slice, values: Tensor) -> None:
        """Put what is drawn, (n B, channels) in -1..1, on the canvas."""


class PlainParams:
    """Runs the whole model on the canvas so far.

    Args:
      parts: frozen.
      canvas: (B, 4, rows, columns), intensities in -1..1 and mask, every pixel of the hole marked as known.
      border: (B, 4, H, W).
      precompute: returns what does not depend on the center, in float32, for the whole batch.
    """

    def __init__(
        self, parts: RasterParts, canvas: Tensor, border: Tensor, precompute: Callable[[], Precomputed]
    ) -> None:
        self.parts, self.canvas, self.border, self.precompute = parts, canvas, border, precompute
        self.lines, self.width = parts.stack.canvas.height, parts.stack.canvas.width
        self.place = 0, 0

    def line_of(self, i: int, j: int) -> int:
        return i

    def line(self, number: int) -> Iterator[slice]:
        for j in range(self.width):
            self.place = number, j
            yield slice(number * self.width + j, number * self.width + j + 1)

    def params(self, channel: int | None) -> tuple[Tensor, Tensor | None]:
        context, first = self.precompute()
        stack, head, _, predictors, energy = self.parts
        center = stack.canvas.hole_of(self.canvas)[:, :3]
        dtype, here = self.canvas.dtype, (..., *self.place)
        first, errors = first.to(dtype), None if energy is None else energy(self.canvas, predictors)
        if errors is not None:
            first = first + errors.hidden
        params = head(first, stack(self.canvas, context.to(dtype)), center)
        if errors is not None:
            params = params + errors.params
        params = _of_channel(params[here], channel)
        if predictors is None:
            return params, None
        return params, _of_channel(predictors(self.canvas, self.border)[here], channel)

    def skip(self) -> None:
        pass

    def put(self, channels: slice, values: Tensor) -> None:
        self.parts.stack.canvas.hole_of(self.canvas)[:, channels, self.place[0], self.place[1]] = values


class PixelParams:
    """Computes only what the latest sub-pixel changes. Args: those of PlainParams."""

    def __init__(
        self, parts: RasterParts, canvas: Tensor, border: Tensor, precompute: Callable[[], Precomputed]
    ) -> None:
        context, first = precompute()
        geometry = parts.stack.canvas
        self.lines, self.width = geometry.height, geometry.width
        cursor = Cursor(geometry.columns)
        self.grouped = parts.stack.grouped
        self.head: Any = stepwise(parts.head, cursor)
        self.predictors: Any = None
        self.energy: Any = None
        if parts.predictors is not None:
            self.predictors = stepwise(parts.predictors, cursor)
            canvas = padded(canvas, 1)
            self.predictors.start(trimmed(canvas, 1, 1), border)
            if parts.energy is not None:
                self.energy = stepwise(parts.energy, cursor)
                self.energy.start(canvas, parts.predictors)
            canvas = trimmed(canvas, ABOVE + 1, SIDE + 1)
        self.pixels = geometry.hole_of(canvas)[:, :3].permute(2, 3, 0, 1)  # (h, w, B, 3), a view
        self.visit = IncrementalPass(parts.stack, canvas, context.to(canvas.dtype), cursor)
        self.places = self.visit.pixels()
        self.first_layer = first.to(canvas.dtype).permute(2, 3, 0, 1)  # (h, w, B, width)
        self.place = 0, 0
        self.pixel: Any = None
        self.first: Any = None
        self.errors: Any = None
        self.predictions: Any = None

    def line_of(self, i: int, j: int) -> int:
        return i

    def line(self, number: int) -> Iterator[slice]:
        for place in itertools.islice(self.places, self.width):
            self.place, self.pixel = place, self.pixels[place]
            index = number * self.width + place[1]
            yield slice(index, index + 1)

    def params(self, channel: int | None) -> tuple[Tensor, Tensor | None]:
        if not channel or self.grouped:
            self.first = self.head.first(self.first_layer[self.place], self.visit.features())
            if self.energy is not None:
                self.errors = self.energy(*self.place)
                self.first = self.first + self.errors.hidden
        params = self.head.params(self.first, self.pixel, channel)
        if self.energy is not None:
            params = params + self.errors.params
        if self.predictors is None:
            return params, None
        if not channel:
            self.predictions = self.predictors(*self.place)
        return params, _of_channel(self.predictions, channel)

    def skip(self) -> None:
        self.visit.features()

    def put(self, channels: slice, values: Tensor) -> None:
        self.pixel[:, channels] = values


class WaveParams:
    """Computes the pixels of a wave at once. Args: those of PlainParams."""

    def __init__(
        self, parts: RasterParts, canvas: Tensor, border: Tensor, precompute: Callable[[], Precomputed], slope: int
    ) -> None:
        context, first = precompute()
        self.grouped = parts.stack.grouped
        self.visit = WavePass(parts.stack, canvas, context.to(canvas.dtype), slope)
        self.lines, self.line_of = self.visit.count, self.visit.wave_of
        self.head: Any = stepwise(parts.head, self.visit.hole)
        self.predictors: Any = None
        if parts.predictors is not None:
            self.predictors = stepwise(parts.predictors, self.visit.hole)
            self.predictors.start(self.visit.canvas, border)
        self.energy: Any = None
        if parts.energy is not None:
            self.energy = stepwise(parts.energy, self.visit.hole)
            self.energy.start(self.visit.canvas, parts.predictors)
        self.first_layer = first.to(canvas.dtype).permute(2, 3, 0, 1).flatten(0, 1)  # (h w, B, width)
        self.here = slice(0)
        self.first: Any = None
        self.errors: Any = None
        self.predictions: Any = None

    def line(self, number: int) -> Iterator[slice]:
        if number == 0:
            self.visit.start()
        for here in self.visit.wave(number):
            self.here = here
            yield here

    def params(self, channel: int | None) -> tuple[Tensor, Tensor | None]:
        if not channel or self.grouped:
            features = self.visit.features().flatten(0, 1)  # (n B, S)
            self.first = self.head.first(self.first_layer[self.here].flatten(0, 1), features)
            if self.energy is not None:
                self.errors = self.energy(self.here)
                self.first = self.first + self.errors.hidden
        pixel = self.visit.canvas[0, 0][..., :3].flatten(0, 1)  # (n B, 3)
        params = self.head.params(self.first, pixel, channel)
        if self.energy is not None:
            params = params + self.errors.params
        if self.predictors is None:
            return params, None
        if not channel:
            self.predictions = self.predictors(self.here).flatten(0, 1)
        return params, _of_channel(self.predictions, channel)

    def skip(self) -> None:
        self.visit.features()

    def put(self, channels: slice, values: Tensor) -> None:
        pixels = self.visit.canvas[0, 0]  # (n, B, 4)
        pixels[..., channels] = values.view(*pixels.shape[:2], -1)


def source_of(
    parts: RasterParts, canvas: Tensor, border: Tensor, precompute: Callable[[], Precomputed], cached: bool
) -> ParamsSource:
    """The quickest source of a decoder's params, or the plain one. Args: those of PlainParams."""
    if not cached:
        return PlainParams(parts, canvas, border, precompute)
    step = slope(parts.stack, parts.predictors)
    if step is None:
        return PixelParams(parts, canvas, border, precompute)
    return WaveParams(parts, canvas, border, precompute, step)


def _of_channel(params: Tensor, channel: int | None) -> Tensor:
    """One channel's third of (B, P), or all of it."""
    return params if channel is None else params.chunk(3, dim=1)[channel]


def _frozen(module: Part, dtype: torch.dtype) -> Part:
    """A copy in that precision and in eval mode, the last one again if its weights are still the module's.

    They are compared, not their version counters: writes through `Tensor.data` leave no trace there."""
    have = _FROZEN.get(module)
    if have is None or not _same_weights(have, module, dtype):
        have = copy.deepcopy(module).to(dtype).eval().requires_grad_(False)
        _FROZEN[module] = have
    return have  # type: ignore[return-value]


def _same_weights(frozen: nn.Module, module: nn.Module, dtype: torch.dtype) -> bool:
    """Whether a copy in that precision has the module's weights, bit for bit."""
    ours, theirs = frozen.state_dict(), module.state_dict()
    return ours.keys() == theirs.keys() and all(
        a.device == b.device
        and a.dtype == (dtype if b.is_floating_point() else b.dtype)
        and torch.equal(a, b.detach().to(a.dtype))
        for a, b in zip(ours.values(), theirs.values(), strict=True)
    )
