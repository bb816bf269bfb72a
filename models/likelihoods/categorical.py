"""A softmax over all levels [1], which can also weigh copies of known pixels.

[1] van den Oord et al. 2016, arXiv:1601.06759
"""

import torch
from torch import Tensor

from models.departures import Departure
from models.intensity import denormalize
from models.likelihoods.base import LEVELS, Likelihood, likelihood
from models.precision import in_float64


@likelihood("categorical")
class Categorical(Likelihood):
    """A softmax over all levels, 256 or fewer, per sub-pixel.

    Args:
      candidates: k, how many known pixels the network weighs: it has k more outputs, each added to the logit of its
        candidate's level.
    """

    DEPARTS = (Departure("the network weighs copies of known pixels", {"predictors": False}),)
    level_choices = range(2, LEVELS + 1)
    weighs_candidates = True
    logits = True

    def __init__(self, levels: int = LEVELS, candidates: int = 0):
        super().__init__()
        self.levels, self.prediction_count = levels, candidates
        self.params_per_pixel = 3 * (levels + candidates)

    @classmethod
    def build(cls, levels: int, candidates: int, components: int | None = None) -> "Categorical":
        return cls(levels, candidates)

    def made_absolute(self, params: Tensor, predictions: Tensor) -> Tensor:
        """-> (B, 3 levels, ...)."""
        k = self.prediction_count
        params = params.movedim(1, -1).unflatten(-1, (-1, self.levels + k))  # (B, ..., 3, levels + k)
        logits, weights = params.split([self.levels, k], dim=-1)
        intensity = denormalize(predictions).round().movedim(1, -1).unflatten(-1, (-1, k))
        logits = logits.scatter_add(-1, self.level_of(intensity), weights)
        return logits.flatten(-2).movedim(-1, 1)

    def _logits(self, params: Tensor) -> Tensor:
        return params.unflatten(1, (-1, self.levels))  # (B, 3, levels, h, w)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        logits = params.movedim(1, -1).unflatten(-1, (-1, self.levels))  # (B, h, w, 3, levels), as it lies in memory
        level = self.level_of(x).movedim(1, -1).unsqueeze(-1)  # (B, h, w, 3, 1)
        log_p = torch.log_softmax(logits, dim=-1).gather(-1, level).squeeze(-1)  # (B, h, w, 3)
        return log_p.movedim(-1, 1).contiguous()

    def sample(
        self, params: Tensor, noise: Tensor, temperature: float = 1.0, predictions: Tensor | None = None
    ) -> Tensor:
        params = self.to_absolute(params, predictions)
        p = torch.softmax(in_float64(self._logits(params)) / temperature, dim=2)
        below = p.cumsum(2) <= in_float64(noise).unsqueeze(2)  # (B, 3, levels, h, w)
        return self.intensity_of(below.sum(2).clamp(max=self.levels - 1)).to(params.device)

    def mean(self, params: Tensor) -> Tensor:
        values = self.intensity_of(torch.arange(self.levels, device=params.device)).to(params.dtype)
        return torch.einsum("bcvhw,v->bchw", torch.softmax(self._logits(params), dim=2), values)
