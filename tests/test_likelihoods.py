"""Every likelihood is a distribution, says what it draws, and stays finite where probabilities are tiny."""

import math

import pytest
import torch

from models import build
from models.likelihoods import LIKELIHOODS, LogisticMixture

PROPER = [name for name, kind in LIKELIHOODS.items() if kind.proper]


def params_of(likelihood, images, scale=1.0, seed=0):
    """(images, P, 2, 2): random params around the initial bias."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images, likelihood.params_per_pixel, 2, 2, generator=generator)
    return likelihood.initial_bias().reshape(1, -1, 1, 1) + scale * noise


def conditional_masses(likelihood, params, channel, before):
    """(256, B, 2, 2) float64: the masses of all values of one channel, given the values `before` of the others."""
    masses = []
    for value in range(256):
        x = before.clone()
        x[:, channel] = value
        masses.append(likelihood.log_prob(params, x)[:, channel].double().exp())
    return torch.stack(masses)


@pytest.mark.parametrize("scale", [0.0, 1.0, 6.0, 60.0])
@pytest.mark.parametrize("name", PROPER)
def test_masses_of_all_256_values_sum_to_one(name, scale):
    likelihood = LIKELIHOODS[name]()
    params = params_of(likelihood, 3, scale)
    before = torch.randint(0, 256, (3, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    for channel in range(3):
        total = conditional_masses(likelihood, params, channel, before).sum(0)
        torch.testing.assert_close(total, torch.ones_like(total), atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_value_far_in_the_tail_has_a_finite_gradient_that_raises_its_probability(name):
    likelihood = LIKELIHOODS[name]()
    for scale in (1.0, 30.0):
        params = params_of(likelihood, 2, scale).requires_grad_()
        x = torch.tensor([0, 255, 128, 1]).reshape(1, 1, 2, 2).expand(2, 3, 2, 2).to(torch.uint8)
        log_prob = likelihood.log_prob(params, x)
        assert log_prob.isfinite().all() and (log_prob <= 1e-6).all()
        (gradient,) = torch.autograd.grad(log_prob.sum(), params)
        assert gradient.isfinite().all()
        step = params.detach() + 1e-5 * gradient / gradient.norm()
        assert likelihood.log_prob(step, x).double().sum() >= log_prob.double().sum() - 1e-2


@pytest.mark.parametrize("name", PROPER)
def test_samples_follow_the_masses(name):
    likelihood = LIKELIHOODS[name]()
    params = params_of(likelihood, 1, 0.5)[:, :, :1, :1].expand(-1, -1, 200, 200).contiguous()
    uniforms = torch.rand(1, likelihood.uniforms_per_pixel, 200, 200, generator=torch.Generator().manual_seed(2))
    drawn = likelihood.sample(params, likelihood.noise(uniforms))  # 40,000 draws from one pixel's distribution
    surprise = -likelihood.log_prob(params, drawn).double().sum(1).flatten()
    # the mean surprise of a sample is the entropy; a second, independent estimate of it is by exact masses
    masses = conditional_masses(likelihood, params[:, :, :1, :1], 0, drawn[:, :, :1, :1])[:, 0, 0, 0]
    counts = torch.bincount(drawn[0, 0].flatten().long(), minlength=256).double() / 40_000
    assert (counts - masses).abs().sum() < 0.08  # total variation within what 40,000 draws allow
    red = -likelihood.log_prob(params, drawn)[0, 0].double().mean()
    entropy = -(masses * masses.clamp(min=1e-300).log()).sum()
    assert abs(red - entropy) < 5 * 2.0 / math.sqrt(40_000) and surprise.isfinite().all()


@pytest.mark.parametrize("name", PROPER)
def test_the_mean_is_the_mean_of_the_masses(name):
    likelihood = LIKELIHOODS[name]()
    for scale in (0.3, 1.5):
        params = params_of(likelihood, 4, scale)
        before = torch.zeros(4, 3, 2, 2, dtype=torch.uint8)
        masses = conditional_masses(likelihood, params, 0, before)  # red depends on no other channel
        expected = torch.einsum("vbhw,v->bhw", masses, torch.arange(256.0).double())
        torch.testing.assert_close(likelihood.mean(params)[:, 0].double(), expected, atol=0.05, rtol=0)


def test_bernoulli_s_sample_is_its_mean():
    likelihood = LIKELIHOODS["bernoulli"]()
    params = params_of(likelihood, 2)
    noise = torch.rand(2, 3, 2, 2)
    assert (likelihood.sample(params, noise).float() - likelihood.mean(params)).abs().max() <= 0.5


def test_a_lower_temperature_draws_closer_to_the_mean():
    for name in PROPER:
        likelihood = LIKELIHOODS[name]()
        params = params_of(likelihood, 1, 0.5)[:, :, :1, :1].expand(-1, -1, 60, 60).contiguous()
        uniforms = torch.rand(1, likelihood.uniforms_per_pixel, 60, 60, generator=torch.Generator().manual_seed(3))
        noise = likelihood.noise(uniforms)
        assert likelihood.sample(params, noise, 0.5).float().std() < likelihood.sample(params, noise).float().std()


def test_a_mixture_has_the_components_and_the_predictors_that_are_asked_for_and_nothing_else_has_any():
    ten, three = (build("pixelcnn", "logistic-mixture", "xs", **given) for given in ({}, {"components": 3}))
    assert (ten.likelihood.params_per_pixel, three.likelihood.params_per_pixel) == (100, 30)
    assert len(ten.net.anchor.weight) == 30 and len(three.net.anchor.weight) == 9 and three.config["components"] == 3
    for other in ("bernoulli", "gaussian"):
        with pytest.raises(ValueError, match=f"components is an option of logistic-mixture, not of {other}"):
            build("contour", other, components=3)
    with pytest.raises(ValueError, match="components"):
        build("pixelcnn", "logistic-mixture", components=0)


def test_logistic_mixture_equals_a_naive_double_precision_one():
    """Component by component, as the paper writes it: sigmoid differences, red and green shifting the later means."""
    likelihood = LogisticMixture(components=3)
    params = params_of(likelihood, 2, 0.5)
    x = torch.randint(0, 256, (2, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))
    ours = likelihood.log_prob(params, x).double().sum(1)
    logits, rest = (
        params[:, :3].double(),
        params[:, 3:].double().reshape(2, 3, 3, 3, 2, 2),
    )  # (B, kind, channel, K, h, w)
    value = x.double() / 127.5 - 1
    expected = torch.zeros(2, 2, 2, dtype=torch.float64)
    for b, row, column in [(b, i, j) for b in range(2) for i in range(2) for j in range(2)]:
        weights = torch.softmax(logits[b, :, row, column], 0)
        total = 0.0
        for k in range(3):
            mean, log_scale, coefficient = rest[b, :, :, k, row, column]
            red, green, blue = value[b, :, row, column]
            c = torch.tanh(coefficient)
            centers = (mean[0], mean[1] + c[0] * red, mean[2] + c[1] * red + c[2] * green)
            mass = weights[k]
            for v, m, s in zip((red, green, blue), centers, log_scale.exp(), strict=True):
                above = 1.0 if v > 0.999 else torch.sigmoid((v + 1 / 255 - m) / s)
                below = 0.0 if v < -0.999 else torch.sigmoid((v - 1 / 255 - m) / s)
                mass = mass * (above - below)
            total = total + mass
        expected[b, row, column] = math.log(total)
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-5)
