"""Bernoulli: on intensities the cross-entropy of 2017, reported as such; on black and white a likelihood."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.likelihoods.base import LEVELS, Likelihood, likelihood


@likelihood("bernoulli")
class Bernoulli(Likelihood):
    """With 256 levels x/255 is the probability of a one: a cross-entropy, whose "sample" is its mean. With two levels
    it is the distribution of black and white sub-pixels."""

    level_choices = (2, LEVELS)
    logits = True
    params_per_pixel = 3
    proper = False

    def __init__(self, levels: int = LEVELS):
        super().__init__()
        self.levels, self.proper = levels, levels == 2

    @classmethod
    def build(cls, levels: int, candidates: int, components: int | None = None) -> "Bernoulli":
        return cls(levels)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        target = self.quantize(x).float() / 255
        return target * params - F.softplus(params)  # (B, 3, h, w)

    def sample(
        self, params: Tensor, noise: Tensor, temperature: float = 1.0, predictions: Tensor | None = None
    ) -> Tensor:
        if self.levels == 2:
            return self.intensity_of((noise < torch.sigmoid(params / temperature)).long())
        return self.mean(params).round().to(torch.uint8)

    def mean(self, params: Tensor) -> Tensor:
        return 255 * torch.sigmoid(params)
