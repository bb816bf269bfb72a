"""A small likelihood: one discretized logistic per sub-pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.intensity import denormalize
from models.likelihoods.base import Likelihood, likelihood


@likelihood("toy-logistic")
class ToyLogistic(Likelihood):
    params_per_pixel = 6

    def _mean_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return denormalize(params[:, ::2]), 20 * torch.exp(params[:, 1::2].clamp(-3, 3))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        mean, scale = self._mean_scale(params.double())
        below = torch.where(x == 0, 0.0, torch.sigmoid((x - 0.5 - mean) / scale))
        above = torch.where(x == 255, 1.0, torch.sigmoid((x + 0.5 - mean) / scale))
        return (above - below).clamp(min=1e-12).log().float()

    def noise(self, uniforms: Tensor) -> Tensor:
        return torch.logit(uniforms, eps=1e-7)

    def sample(
        self, params: Tensor, noise: Tensor, temperature: float = 1.0, predictions: Tensor | None = None
    ) -> Tensor:
        mean, scale = self._mean_scale(params)
        return (mean + temperature * scale * noise).round().clamp(0, 255).to(torch.uint8)

    def mean(self, params: Tensor) -> Tensor:
        mean, scale = self._mean_scale(params)
        return 255 - scale * (F.softplus((255 - mean) / scale) - F.softplus(-mean / scale))  # of the clipped logistic
