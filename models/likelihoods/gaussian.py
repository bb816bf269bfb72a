"""A normal distribution per sub-pixel, its mass cut into levels."""

import math

import torch
from torch import Tensor

from models.intensity import HALF_RANGE, denormalize
from models.likelihoods.base import LEVELS, Likelihood, likelihood
from models.precision import in_float64

LOG_SCALES = (-7.0, 2.0)  # bounds


@likelihood("gaussian")
class Gaussian(Likelihood):
    """A normal per sub-pixel: level v has the mass between v - 1/2 and v + 1/2, the outermost levels a whole tail."""

    params_per_pixel = 6
    prediction_count = 1

    def initial_bias(self, relative: bool = False) -> Tensor:
        return torch.tensor([0.0, -2.5 if relative else -0.7]).repeat(3)

    def made_absolute(self, params: Tensor, predictions: Tensor) -> Tensor:
        """Relative means are in units of the scale."""
        means, log_scales = params[:, ::2], params[:, 1::2]
        means = predictions + means * torch.exp(log_scales.clamp(*LOG_SCALES))
        return torch.stack([means, log_scales], dim=2).flatten(1, 2)

    def _mean_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Of each sub-pixel, in levels."""
        mean, log_scale = params[:, ::2], params[:, 1::2]
        return denormalize(mean), HALF_RANGE * torch.exp(log_scale.clamp(*LOG_SCALES))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        mean, scale = self._mean_scale(in_float64(params))  # float32 loses the difference of two close tails
        v = in_float64(x)
        below, above = (v - 0.5 - mean) / scale, (v + 0.5 - mean) / scale
        # mirror into the lower tail, where log_ndtr is accurate
        flip = (v > mean).double() * -2 + 1
        low, high = torch.minimum(flip * below, flip * above), torch.maximum(flip * below, flip * above)
        first, last = v == 0, v == LEVELS - 1
        log_low, log_high = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
        difference = (log_low - log_high).clamp(max=-1e-12)
        inside = log_high + torch.log(-torch.expm1(difference))
        edge = torch.special.log_ndtr(torch.where(first, above, -below))
        return torch.where(first | last, edge, inside).float().to(params.device)

    def noise(self, uniforms: Tensor) -> Tensor:
        """Standard normal."""
        return torch.special.ndtri(uniforms.clamp(1e-7, 1 - 1e-7))

    def sample(
        self, params: Tensor, noise: Tensor, temperature: float = 1.0, predictions: Tensor | None = None
    ) -> Tensor:
        mean, scale = self._mean_scale(self.to_absolute(params, predictions))
        return (mean + temperature * scale * noise).round().clamp(0, 255).to(torch.uint8)

    def mean(self, params: Tensor) -> Tensor:
        mean, scale = self._mean_scale(params)
        low, high = -mean / scale, (255 - mean) / scale

        def integral(z: Tensor) -> Tensor:  # of the normal's distribution function
            return z * torch.special.ndtr(z) + torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)

        return 255 - scale * (integral(high) - integral(low))
