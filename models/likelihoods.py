"""The distributions on top: what turns the last layer's numbers into nats per sub-pixel, samples and means.

Each likelihood reads `params` (B, P, h, w), or (B, P) for one pixel, and scores uint8 sub-pixels. All but `Bernoulli`
are proper distributions over the 256 levels (their masses sum to one, edges included), so their nats are comparable
with one another and with codecs; Bernoulli on intensities x/255 is the 2017 cross-entropy and is reported as such.
`Categorical` and `Bernoulli` (then a distribution too) can work on fewer levels, to which sub-pixels are rounded first.

[1] Salimans et al. 2017, arXiv:1701.05517 (discretized logistic mixture, channel coupling)
[2] van den Oord et al. 2016, arXiv:1601.06759 (256-way softmax)
Departs from [1]: bin masses in closed form, log(sigmoid(b) - sigmoid(a)) = b + log(1 - e^(a-b)) - softplus(a) -
softplus(b), exact in both tails, so none of the paper's case distinctions are needed.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 256


class Likelihood(nn.Module, ABC):
    """One distribution family; has no weights of its own.

    Attributes:
      params_per_pixel: P, the number of channels the network gives.
      uniforms_per_pixel: how many uniform numbers one pixel's sample consumes.
      proper: whether masses over the levels sum to one.
      levels: of a sub-pixel.
      anchors: how many numbers made of known pixels (see models/anchor.py) it can start from, for each channel.
      coupled: whether it couples a pixel's three channels itself. Where it does not, each channel has a third of the
        params to itself, R's first, and scores and samples of one channel can be had by giving its own alone.
    """

    params_per_pixel: int
    uniforms_per_pixel = 3
    proper = True
    levels = LEVELS
    anchors = 0
    coupled = False

    def initial_bias(self, anchored: bool = False) -> Tensor:
        """(P,) float32: the params of a fresh network, a broad distribution; narrower where it starts from
        known pixels."""
        return torch.zeros(self.params_per_pixel)

    def level_of(self, x: Tensor) -> Tensor:
        """uint8 intensities -> which of the levels, int64 of the same shape."""
        return x.long() * self.levels // LEVELS

    def intensity_of(self, level: Tensor) -> Tensor:
        """Levels -> the uint8 intensities that stand for them: evenly spread, black and white among them."""
        k = self.levels
        spread = (2 * 255 * level + k - 1) // (2 * (k - 1))
        first, next_first = (LEVELS * level + k - 1) // k, (LEVELS * (level + 1) + k - 1) // k  # of the level's own
        return torch.minimum(torch.maximum(spread, first), next_first - 1).to(torch.uint8)

    def rounded(self, x: Tensor) -> Tensor:
        """uint8 intensities, each replaced by the one that stands for its level."""
        return x if self.levels == LEVELS else self.intensity_of(self.level_of(x))

    def anchored(self, params: Tensor, anchor: Tensor) -> Tensor:
        """Params told relative to known pixels made ones that stand by themselves: (B, P, ...), (B, 3 anchors, ...),
        R's first -> (B, ..., ...). As they are, without anchors."""
        return params

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """(B, P, h, w) float32, (B, 3, h, w) uint8 -> (B, 3, h, w) float32 nats."""

    def noise(self, uniforms: Tensor) -> Tensor:
        """What `sample` reads: uniforms in [0, 1) as they are, or made what the family needs, (B, n, h, w) -> same."""
        return uniforms

    @abstractmethod
    def sample(self, params: Tensor, noise: Tensor, temperature: float = 1.0, anchor: Tensor | None = None) -> Tensor:
        """(B, P, h, w) float32 and noise (B, uniforms_per_pixel, h, w) -> (B, 3, h, w) uint8.

        With an anchor (B, 3 anchors, h, w), as from the params `anchored` by it.
        """

    @abstractmethod
    def mean(self, params: Tensor) -> Tensor:
        """(B, P, h, w) float32 -> (B, 3, h, w) float32 in 0..255."""


class Bernoulli(Likelihood):
    """x/255 as the probability of a one: the 2017 loss, a cross-entropy, whose "sample" is the mean.

    With two levels it is the distribution of black and white sub-pixels.
    """

    params_per_pixel = 3
    proper = False

    def __init__(self, levels: int = LEVELS):
        super().__init__()
        if levels not in (2, LEVELS):
            raise ValueError(f"levels must be 2 or {LEVELS} for bernoulli, not {levels}")
        self.levels, self.proper = levels, levels == 2

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        target = self.rounded(x).float() / 255
        return target * params - F.softplus(params)  # (B, 3, h, w)

    def sample(self, params, noise, temperature=1.0, anchor=None) -> Tensor:
        if self.levels == 2:
            return self.intensity_of((noise < torch.sigmoid(params / temperature)).long())
        return self.mean(params).round().to(torch.uint8)

    def mean(self, params: Tensor) -> Tensor:
        return 255 * torch.sigmoid(params)


class Gaussian(Likelihood):
    """A normal per sub-pixel: level v has the mass between v - 1/2 and v + 1/2, the outermost levels their whole
    tail."""

    params_per_pixel = 6
    anchors = 1

    def initial_bias(self, anchored: bool = False) -> Tensor:
        return torch.tensor([0.0, -2.5 if anchored else -0.7]).repeat(3)

    def anchored(self, params: Tensor, anchor: Tensor) -> Tensor:
        """As any likelihood's, means told in scales; of one channel's params (B, 2) and anchor (B, 1), too."""
        means, log_scales = params[:, ::2], params[:, 1::2]
        means = anchor + means * torch.exp(log_scales.clamp(-7.0, 2.0))
        return torch.stack([means, log_scales], dim=2).flatten(1, 2)

    def _mean_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Of each sub-pixel, in grey levels."""
        mean, log_scale = params[:, ::2], params[:, 1::2]
        return 127.5 + 127.5 * mean, 127.5 * torch.exp(log_scale.clamp(-7.0, 2.0))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        mean, scale = self._mean_scale(params.double())  # the difference of two neighbouring tails needs the digits
        v = x.double()
        below, above = (v - 0.5 - mean) / scale, (v + 0.5 - mean) / scale
        # mirrored into the lower tail, where log_ndtr keeps its digits
        flip = (v > mean).double() * -2 + 1
        low, high = torch.minimum(flip * below, flip * above), torch.maximum(flip * below, flip * above)
        first, last = x == 0, x == LEVELS - 1
        log_low, log_high = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
        difference = (log_low - log_high).clamp(max=-1e-12)
        inside = log_high + torch.log(-torch.expm1(difference))
        edge = torch.special.log_ndtr(torch.where(first, above, -below))
        return torch.where(first | last, edge, inside).float()

    def noise(self, uniforms: Tensor) -> Tensor:
        """Standard normal."""
        return torch.special.ndtri(uniforms.clamp(1e-7, 1 - 1e-7))

    def sample(self, params, noise, temperature=1.0, anchor=None) -> Tensor:
        mean, scale = self._mean_scale(params if anchor is None else self.anchored(params, anchor))
        return (mean + temperature * scale * noise).round().clamp(0, 255).to(torch.uint8)

    def mean(self, params: Tensor) -> Tensor:
        mean, scale = self._mean_scale(params)
        low, high = -mean / scale, (255 - mean) / scale

        def integral(z: Tensor) -> Tensor:  # of the normal's distribution function
            return z * torch.special.ndtr(z) + torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)

        return 255 - scale * (integral(high) - integral(low))


class Categorical(Likelihood):
    """A softmax over all levels, 256 or fewer, per sub-pixel [2].

    Args:
      copies: of how many known pixels the network says, after the levels' logits, what to add to that of their level.
    """

    def __init__(self, levels: int = LEVELS, copies: int = 0):
        super().__init__()
        self.levels, self.anchors, self.params_per_pixel = levels, copies, 3 * (levels + copies)

    def anchored(self, params: Tensor, anchor: Tensor) -> Tensor:
        """As any likelihood's; -> (B, 3 levels, ...). Of one channel's params and anchor, too."""
        params = params.movedim(1, -1).unflatten(-1, (-1, self.levels + self.anchors))  # (B, ..., 3, levels + copies)
        logits, more = params.split([self.levels, self.anchors], dim=-1)
        intensity = (127.5 * anchor + 127.5).round().movedim(1, -1).unflatten(-1, (-1, self.anchors))
        logits = logits.scatter_add(-1, self.level_of(intensity), more)
        return logits.flatten(-2).movedim(-1, 1)

    def _logits(self, params: Tensor) -> Tensor:
        return params.unflatten(1, (-1, self.levels))  # (B, 3, levels, h, w)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        logits = params.movedim(1, -1).unflatten(-1, (-1, self.levels))  # (B, h, w, 3, levels), as it lies in memory
        level = self.level_of(x).movedim(1, -1).unsqueeze(-1)  # (B, h, w, 3, 1)
        log_p = torch.log_softmax(logits, dim=-1).gather(-1, level).squeeze(-1)  # (B, h, w, 3)
        return log_p.movedim(-1, 1).contiguous()

    def sample(self, params, noise, temperature=1.0, anchor=None) -> Tensor:
        params = params if anchor is None else self.anchored(params, anchor)
        p = torch.softmax(self._logits(params).double() / temperature, dim=2)
        below = p.cumsum(2) <= noise.double().unsqueeze(2)  # (B, 3, levels, h, w)
        return self.intensity_of(below.sum(2).clamp(max=self.levels - 1))

    def mean(self, params: Tensor) -> Tensor:
        values = self.intensity_of(torch.arange(self.levels, device=params.device)).to(params.dtype)
        return torch.einsum("bcvhw,v->bchw", torch.softmax(self._logits(params), dim=2), values)


class LogisticMixture(Likelihood):
    """Ten discretized logistics [1], one component for a pixel's three channels, G and B shifted by those before them.

    Works on intensities scaled to -1..1, where a level is 2/255 wide. The conditional of a sub-pixel is the ratio of
    the mixture's joint mass with it to that without it.
    """

    coupled = True

    def __init__(self, components: int = 10):
        super().__init__()
        self.components = self.anchors = components
        self.params_per_pixel = 10 * components
        self.uniforms_per_pixel = components + 3

    def initial_bias(self, anchored: bool = False) -> Tensor:
        k = self.components
        if anchored:  # neighbours' errors are alike in all channels
            coupling = torch.tensor([0.9, 0.0, 0.9]).repeat_interleave(k)
            return torch.cat([torch.zeros(4 * k), torch.full((3 * k,), -3.5), coupling])
        spread = torch.linspace(-0.8, 0.8, k)  # equal components would stay equal under gradient descent
        return torch.cat([torch.zeros(k), spread.repeat(3), torch.full((3 * k,), -2.0), torch.zeros(3 * k)])

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (B, K, h, w); means, log-scales and coupling coefficients (B, 3, K, h, w)."""
        k = self.components
        rest = params[:, k:].unflatten(1, (3, 3, k))
        return params[:, :k], rest[:, 0], rest[:, 1].clamp(-7.0, 5.0), torch.tanh(rest[:, 2])

    def anchored(self, params: Tensor, anchor: Tensor) -> Tensor:
        """As any likelihood's; means are told in scales from the anchor, so that a flat sky's pixels do not drown the
        others' gradients. A channel's anchor is where its mean lies when the channels before it are at theirs."""
        k = self.components
        logits, means, log_scales, coupling = params.split([k, 3 * k, 3 * k, 3 * k], dim=1)
        red, green, blue = (means * torch.exp(log_scales.clamp(-7.0, 5.0))).chunk(3, dim=1)  # (B, K, ...)
        of_red, of_green, of_blue = anchor.chunk(3, dim=1)  # (B, K, ...)
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
        value = x.float() / 127.5 - 1  # (B, 3, h, w)
        joint = torch.log_softmax(logits, dim=1)  # (B, K, h, w): log weight, then times the masses so far
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
        return torch.stack(out, dim=1)

    def noise(self, uniforms: Tensor) -> Tensor:
        """Gumbel's for the choice of a component, standard logistic for the three channels."""
        gumbel = -torch.log(-torch.log(uniforms[:, : self.components].clamp(1e-30, 1 - 1e-7)))
        return torch.cat([gumbel, torch.logit(uniforms[:, self.components :], eps=1e-7)], dim=1)

    def sample(self, params, noise, temperature=1.0, anchor=None) -> Tensor:
        k = self.components
        logits = params[:, :k] if temperature == 1 else params[:, :k] / temperature
        chosen = torch.argmax(logits + noise[:, :k], dim=1, keepdim=True).unsqueeze(1)  # (B, 1, 1, h, w)
        own = params[:, k:].unflatten(1, (9, k))  # (B, 9, K, h, w)
        means, log_scales, coupling = own.gather(2, chosen.expand(-1, 9, *chosen.shape[2:])).squeeze(2).split(3, dim=1)
        coupling = torch.tanh(coupling)  # (B, 3, h, w)
        scales = log_scales.clamp(-7.0, 5.0).exp_()
        middle = torch.zeros_like(means)
        if anchor is not None:
            means = means * scales
            middle = anchor.unflatten(1, (3, k)).gather(2, chosen.expand(-1, 3, *chosen.shape[2:])).squeeze(2)
            means += middle
        drawn = torch.addcmul(means, scales, noise[:, k:], value=temperature)
        drawn, middle = drawn.mul_(127.5).add_(127.5), 127.5 * middle + 127.5  # in levels
        red, green, blue = drawn.split(1, dim=1)  # views
        by_red, by_red_2, by_green = coupling.split(1, dim=1)  # of how far these lie from their middle
        off_red = red.round_().clamp_(0, 255) - middle[:, :1]
        off_green = green.addcmul_(by_red, off_red).round_().clamp_(0, 255) - middle[:, 1:2]
        blue.addcmul_(by_red_2, off_red).addcmul_(by_green, off_green).round_().clamp_(0, 255)
        return drawn.to(torch.uint8)

    def mean(self, params: Tensor) -> Tensor:
        """Each component's clipped mean, G and B at the expected R and G: exact for R, close for the others."""
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
            # E[clip(X)]: the upper end minus the integral of the distribution function, softplus for a logistic
            expected.append(1 - scale * (F.softplus(high) - F.softplus(low)))
        value = torch.stack([(weights * e).sum(1) for e in expected], dim=1)  # (B, 3, h, w)
        return (127.5 * (value + 1)).clamp(0, 255)


class Grey(Likelihood):
    """Any likelihood for images whose three channels are alike: red's is the image's, green and blue are certain.

    Args:
      inner: the likelihood of red.
    """

    coupled = True

    def __init__(self, inner: Likelihood):
        super().__init__()
        self.inner = inner
        self.proper, self.levels, self.anchors = inner.proper, inner.levels, inner.anchors
        self.uniforms_per_pixel = inner.uniforms_per_pixel
        self.params_per_pixel = inner.params_per_pixel // (1 if inner.coupled else 3)

    def initial_bias(self, anchored: bool = False) -> Tensor:
        return self.inner.initial_bias(anchored)[: self.params_per_pixel]

    def level_of(self, x: Tensor) -> Tensor:
        return self.inner.level_of(x)

    def intensity_of(self, level: Tensor) -> Tensor:
        return self.inner.intensity_of(level)

    def _red(self, x: Tensor | None) -> Tensor | None:
        """Red's third, of what has one for each channel; all of it where the inner likelihood couples them."""
        return x if x is None or self.inner.coupled else x[:, : x.shape[1] // 3]

    def anchored(self, params: Tensor, anchor: Tensor) -> Tensor:
        return self.inner.anchored(params, self._red(anchor))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        red = self.inner.log_prob(params, self._red(x))[:, :1]
        rounded = self.rounded(x)
        others = torch.where(rounded[:, 1:] == rounded[:, :1], 0.0, -math.inf).to(red.dtype)
        return torch.cat([red, others], dim=1)

    def noise(self, uniforms: Tensor) -> Tensor:
        return self.inner.noise(uniforms)

    def sample(self, params, noise, temperature=1.0, anchor=None) -> Tensor:
        drawn = self.inner.sample(params, self._red(noise), temperature, self._red(anchor))
        return drawn[:, :1].repeat_interleave(3, dim=1)

    def mean(self, params: Tensor) -> Tensor:
        return self.inner.mean(params)[:, :1].repeat_interleave(3, dim=1)


LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "categorical": Categorical,
    "logistic-mixture": LogisticMixture,
}
