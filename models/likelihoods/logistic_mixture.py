"""Discretized mixture of logistics, a pixel's channels coupled [1].

Departs from [1]: bin masses in closed form, log(sigmoid(b) - sigmoid(a)) = b + log(1 - e^(a-b)) - softplus(a) -
softplus(b), exact in both tails, so that small masses need no case of their own, as they do in the code of [1].

[1] Salimans et al. 2017, arXiv:1701.05517
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.departures import Departure
from models.intensity import denormalize, denormalize_, normalize
from models.likelihoods.base import Likelihood, likelihood

LOG_SCALES = (-7.0, 5.0)  # bounds


@likelihood("logistic-mixture")
class LogisticMixture(Likelihood):
    """A mixture of discretized logistics [1]: all channels of a pixel share the component, and the means of G and B
    depend on the channels before them.

    Works on intensities in -1..1, where a level is 2/255 wide. A sub-pixel's probability is the ratio of the mixture's
    joint mass with it to that without it.
    """

    DEPARTS = (Departure("means start from linear predictions of neighbours", {"predictors": False}),)
    coupled = mixes = True
    firsts: Tensor

    def __init__(self, components: int = 10):
        super().__init__()
        self.components = self.prediction_count = components
        self.params_per_pixel = 10 * components
        self.uniforms_per_pixel = components + 3
        firsts = components * torch.arange(1, 13)  # of means, log-scales, coupling, then of predictions, by channel
        self.register_buffer("firsts", firsts, persistent=False)

    @classmethod
    def build(cls, levels: int, candidates: int, components: int | None = None) -> "LogisticMixture":
        return cls() if components is None else cls(components)

    def initial_bias(self, relative: bool = False) -> Tensor:
        k = self.components
        if relative:  # prediction errors are alike in all channels
            coupling = torch.tensor([0.9, 0.0, 0.9]).repeat_interleave(k)
            return torch.cat([torch.zeros(4 * k), torch.full((3 * k,), -3.5), coupling])
        spread = torch.linspace(-0.8, 0.8, k)  # equal components would stay equal under gradient descent
        return torch.cat([torch.zeros(k), spread.repeat(3), torch.full((3 * k,), -2.0), torch.zeros(3 * k)])

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (B, K, h, w); means, log-scales and coupling coefficients (B, 3, K, h, w)."""
        k = self.components
        rest = params[:, k:].unflatten(1, (3, 3, k))
        return params[:, :k], rest[:, 0], rest[:, 1].clamp(*LOG_SCALES), torch.tanh(rest[:, 2])

    def made_absolute(self, params: Tensor, predictions: Tensor) -> Tensor:
        """Relative means are in units of the scale, or pixels of a flat sky would dominate the gradient. A channel's
        prediction is its mean if the channels before it equal theirs."""
        k = self.components
        logits, means, log_scales, coupling = params.split([k, 3 * k, 3 * k, 3 * k], dim=1)
        red, green, blue = (means * torch.exp(log_scales.clamp(*LOG_SCALES))).chunk(3, dim=1)  # (B, K, ...)
        of_red, of_green, of_blue = predictions.chunk(3, dim=1)  # (B, K, ...)
        by_red, by_red_2, by_green = torch.tanh(coupling).chunk(3, dim=1)
        red, green = red + of_red, green + of_green - by_red * of_red
        blue = blue + of_blue - by_red_2 * of_red - by_green * of_green
        return torch.cat([logits, red, green, blue, log_scales, coupling], dim=1)

    @staticmethod
    def _coupled(channel: int, means: Tensor, coupling: Tensor, x: Tensor) -> Tensor:
        """The component means (B, K, h, w) of a channel, given the channels before it; x (B, 3, h, w) in -1..1."""
        if channel == 0:
            return means[:, 0]
        if channel == 1:
            return means[:, 1] + coupling[:, 0] * x[:, :1]
        return means[:, 2] + coupling[:, 1] * x[:, :1] + coupling[:, 2] * x[:, 1:2]

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        logits, means, log_scales, coupling = self._split(params)
        value = normalize(x)  # (B, 3, h, w)
        joint = torch.log_softmax(logits, dim=1)  # (B, K, h, w): log weight plus log masses so far
        before = torch.zeros_like(value[:, 0])
        out = []
        for channel in range(3):
            mean = self._coupled(channel, means, coupling, value)
            inverse = torch.exp(-log_scales[:, channel])
            centered = value[:, channel : channel + 1] - mean
            above, below = inverse * (centered + 1 / 255), inverse * (centered - 1 / 255)
            inside = above + torch.log(-torch.expm1(-2 / 255 * inverse)) - F.softplus(above) - F.softplus(below)
            level = x[:, channel : channel + 1]
            mass = torch.where(level == 0, F.logsigmoid(above), torch.where(level == 255, F.logsigmoid(-below), inside))
            joint = joint + mass
            so_far = torch.logsumexp(joint, dim=1)  # (B, h, w)
            out.append(so_far - before)
            before = so_far
        return torch.stack(out, dim=1).clamp(max=0)  # rounding lifts a level that is all but sure above

    def noise(self, uniforms: Tensor) -> Tensor:
        """Gumbel noise for the choice of a component, standard logistic noise for the three channels."""
        gumbel = -torch.log(-torch.log(uniforms[:, : self.components].clamp(1e-30, 1 - 1e-7)))
        return torch.cat([gumbel, torch.logit(uniforms[:, self.components :], eps=1e-7)], dim=1)

    def sample(
        self, params: Tensor, noise: Tensor, temperature: float = 1.0, predictions: Tensor | None = None
    ) -> Tensor:
        k = self.components
        logits = params[:, :k] if temperature == 1 else params[:, :k] / temperature
        chosen = torch.argmax(logits + noise[:, :k], dim=1, keepdim=True)  # (B, 1, h, w)
        rest = params if predictions is None else torch.cat((params, predictions), dim=1)
        groups = self.firsts[: rest.shape[1] // k - 1].view(-1, *(1 for _ in rest.shape[2:]))
        rest = rest.gather(1, chosen + groups)  # (B, 9 or 12, h, w), of the chosen component
        means, coupling = rest[:, :3], torch.tanh(rest[:, 6:9])  # (B, 3, h, w) each
        scales = rest[:, 3:6].clamp(*LOG_SCALES).exp_()
        if predictions is None:
            drawn, middle = torch.addcmul(means, scales, noise[:, k:], value=temperature), torch.zeros_like(means)
        else:
            middle = rest[:, 9:]
            drawn = torch.addcmul(middle, scales, torch.add(means, noise[:, k:], alpha=temperature))
        drawn, middle = denormalize_(drawn), denormalize(middle)  # in levels
        red, green, blue = drawn[:, :1], drawn[:, 1:2], drawn[:, 2:]
        # how much a channel moves with those before it
        by_red, by_red_2, by_green = coupling[:, :1], coupling[:, 1:2], coupling[:, 2:]
        off_red = red.round_().clamp_(0, 255) - middle[:, :1]
        off_green = green.addcmul_(by_red, off_red).round_().clamp_(0, 255) - middle[:, 1:2]
        blue.addcmul_(by_red_2, off_red).addcmul_(by_green, off_green).round_().clamp_(0, 255)
        return drawn.to(torch.uint8)

    def mean(self, params: Tensor) -> Tensor:
        """The mean of clipped components, G and B at the expected R and G: exact for R, close for the others."""
        logits, means, log_scales, coupling = self._split(params)
        weights = torch.softmax(logits, dim=1)
        expected: list[Tensor] = []
        for channel in range(3):
            mean = means[:, channel]
            if channel == 1:
                mean = mean + coupling[:, 0] * expected[0]
            if channel == 2:
                mean = mean + coupling[:, 1] * expected[0] + coupling[:, 2] * expected[1]
            scale = torch.exp(log_scales[:, channel])
            low, high = (-1 - mean) / scale, (1 - mean) / scale
            # E[clip(X)] is the upper end minus the integral of the cdf, which for a logistic is softplus
            expected.append(1 - scale * (F.softplus(high) - F.softplus(low)))
        value = torch.stack([(weights * e).sum(1) for e in expected], dim=1)  # (B, 3, h, w)
        return denormalize(value).clamp(0, 255)
