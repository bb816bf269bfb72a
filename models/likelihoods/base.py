"""Likelihoods turn the network's params into nats per sub-pixel, samples and means.

Each reads `params` (B, P, h, w), or (B, P) for one pixel, and scores uint8 sub-pixels. All but `Bernoulli` on 256
levels are proper: the masses of their levels sum to one, edges included, so with equal levels their nats are comparable
with one another, and with all 256 also with codecs. To add one, write its class in a file of its own and register it
with `likelihood`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from models.departures import Departure

LEVELS = 256


class Likelihood(nn.Module, ABC):
    """One distribution family, without weights.

    Attributes:
      level_choices: the numbers of levels that sub-pixels can be quantized to.
      levels: how many levels they are quantized to.
      params_per_pixel: P, channels of the network's output.
      uniforms_per_pixel: how many uniform numbers it takes to sample a pixel.
      proper: whether the probabilities of all levels sum to one.
      coupled: whether it couples a pixel's three channels itself. If not, each channel has its own third of the params,
        R's first, and one channel can be scored and sampled by passing its third alone.
      mixes: whether it is a mixture, of any number of components.
      logits: whether the params of a network without predictions are logits alone, so that their mean is one's, too.
      prediction_count: k, how many predictions of each channel it reads (predictors.py); 0 for none.
      weighs_candidates: whether these are candidates, copies of known pixels, and not linear predictions.
      DEPARTS: where a causal decoder with it departs from the papers.
    """

    level_choices: ClassVar[Collection[int]] = (LEVELS,)
    DEPARTS: ClassVar[tuple[Departure, ...]] = ()
    coupled: bool = False
    mixes: ClassVar[bool] = False
    logits: bool = False
    weighs_candidates: bool = False
    params_per_pixel: int
    uniforms_per_pixel: int = 3
    proper: bool = True
    levels: int = LEVELS
    prediction_count: int = 0

    @classmethod
    def build(cls, levels: int, candidates: int, components: int | None = None) -> "Likelihood":
        """A likelihood for a decoder.

        Args:
          levels: one of `level_choices`.
          candidates: how many candidates of each channel the decoder offers, for a likelihood that weighs them.
          components: how many, for one that `mixes`; None for its default.
        """
        return cls()

    def initial_bias(self, relative: bool = False) -> Tensor:
        """Params of an untrained network, (P,) float32: a broad distribution, narrower if they are `relative` to
        predictions."""
        return torch.zeros(self.params_per_pixel)

    def level_of(self, x: Tensor) -> Tensor:
        """uint8 intensities -> their level, int64 of the same shape."""
        return x.long() * self.levels // LEVELS

    def intensity_of(self, level: Tensor) -> Tensor:
        """Levels -> the uint8 intensities that stand for them: evenly spread, black and white among them."""
        k = self.levels
        spread = (2 * 255 * level + k - 1) // (2 * (k - 1))
        first, next_first = (LEVELS * level + k - 1) // k, (LEVELS * (level + 1) + k - 1) // k  # of the level's own
        return torch.minimum(torch.maximum(spread, first), next_first - 1).to(torch.uint8)

    def quantize(self, x: Tensor) -> Tensor:
        """Replace uint8 intensities by those that stand for their level."""
        return x if self.levels == LEVELS else self.intensity_of(self.level_of(x))

    def to_absolute(self, params: Tensor, predictions: Tensor | None) -> Tensor:
        """Convert params relative to predictions into absolute ones: (B, P, ...), (B, 3 k, ...), R's first -> (B, ...,
        ...). Unless `coupled`, one channel's can be passed: (B, P / 3, ...), (B, k, ...). None changes nothing."""
        return params if predictions is None else self.made_absolute(params, predictions)

    def made_absolute(self, params: Tensor, predictions: Tensor) -> Tensor:
        """`to_absolute` for likelihoods that read predictions."""
        raise ValueError(f"{type(self).__name__} reads no predictions")

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """(B, P, h, w) float32 or float64, (B, 3, h, w) uint8 -> (B, 3, h, w) nats."""

    def noise(self, uniforms: Tensor) -> Tensor:
        """Turn uniform numbers in [0, 1) into the noise that `sample` reads: (B, uniforms_per_pixel, h, w)."""
        return uniforms

    @abstractmethod
    def sample(
        self, params: Tensor, noise: Tensor, temperature: float = 1.0, predictions: Tensor | None = None
    ) -> Tensor:
        """(B, P, h, w) float32 or float64, and noise (B, uniforms_per_pixel, h, w) -> (B, 3, h, w) uint8.

        With predictions (B, 3 k, h, w) the params are relative to them.
        """

    @abstractmethod
    def mean(self, params: Tensor) -> Tensor:
        """(B, P, h, w) float32 or float64 -> (B, 3, h, w) in 0..255."""


LIKELIHOODS: dict[str, type[Likelihood]] = {}
LikelihoodClass = TypeVar("LikelihoodClass", bound=type[Likelihood])


def likelihood(name: str) -> Callable[[LikelihoodClass], LikelihoodClass]:
    """Register a class as the likelihood of that name."""

    def register(cls: LikelihoodClass) -> LikelihoodClass:
        LIKELIHOODS[name] = cls
        return cls

    return register
