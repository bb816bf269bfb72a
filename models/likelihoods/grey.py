"""Likelihoods of grey images, from those of color images."""

import math

import torch
from torch import Tensor

from models.likelihoods.base import Likelihood


class Grey(Likelihood):
    """Any likelihood for images whose three channels are alike: red's is the image's, green and blue are certain.

    Args:
      inner: the likelihood of red.
    """

    coupled = True

    def __init__(self, inner: Likelihood):
        super().__init__()
        self.inner = inner
        self.proper, self.levels, self.logits = inner.proper, inner.levels, inner.logits
        self.prediction_count, self.weighs_candidates = inner.prediction_count, inner.weighs_candidates
        self.uniforms_per_pixel = inner.uniforms_per_pixel
        self.params_per_pixel = inner.params_per_pixel // (1 if inner.coupled else 3)

    def initial_bias(self, relative: bool = False) -> Tensor:
        return self.inner.initial_bias(relative)[: self.params_per_pixel]

    def level_of(self, x: Tensor) -> Tensor:
        return self.inner.level_of(x)

    def intensity_of(self, level: Tensor) -> Tensor:
        return self.inner.intensity_of(level)

    def _red(self, x: Tensor) -> Tensor:
        """Red's third of x; all of it if the inner likelihood couples the channels."""
        return x if self.inner.coupled else x[:, : x.shape[1] // 3]

    def made_absolute(self, params: Tensor, predictions: Tensor) -> Tensor:
        return self.inner.made_absolute(params, self._red(predictions))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        red = self.inner.log_prob(params, self._red(x))[:, :1]
        quantized = self.quantize(x)
        others = torch.where(quantized[:, 1:] == quantized[:, :1], 0.0, -math.inf).to(red.dtype)
        return torch.cat([red, others], dim=1)

    def noise(self, uniforms: Tensor) -> Tensor:
        return self.inner.noise(uniforms)

    def sample(
        self, params: Tensor, noise: Tensor, temperature: float = 1.0, predictions: Tensor | None = None
    ) -> Tensor:
        red = None if predictions is None else self._red(predictions)
        drawn = self.inner.sample(params, self._red(noise), temperature, red)
        return drawn[:, :1].repeat_interleave(3, dim=1)

    def mean(self, params: Tensor) -> Tensor:
        return self.inner.mean(params)[:, :1].repeat_interleave(3, dim=1)
