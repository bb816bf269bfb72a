"""Samples, means and nats depend on the model and the generator alone: not on the mode, torch's settings, or how many
borders there are."""

import warnings

import pytest
import torch
from every_model import KINDS, kind, name_of, shaken_model

from models.likelihoods import LIKELIHOODS, Bernoulli, Grey
from models.precision import exact_float32, float64_or_less

SMALL = {"image_size": 16, "hole": (4, 4, 4, 4)}
EVERY = [*(made() for made in LIKELIHOODS.values()), Bernoulli(2), *(Grey(made()) for made in LIKELIHOODS.values())]


def border_of(n):
    return torch.randint(0, 256, (n, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("decoder", ["contour", "pixelsnail", "parallel"])
def test_samples_and_means_are_without_dropout_in_train_mode_too_and_the_modes_stay(decoder):
    model = shaken_model(kind(decoder, "gaussian"), dropout=0.9, **SMALL)

    def drawn():
        return [
            model.sample(border_of(2), generator=torch.Generator().manual_seed(1)),
            *model.sample_with_log_prob(border_of(2), generator=torch.Generator().manual_seed(1)),
            *([model.mean(border_of(2))] if decoder == "contour" else []),
        ]

    expected = drawn()
    model.train()
    frozen = next(module for module in model.modules() if isinstance(module, torch.nn.Dropout2d)).eval()
    assert all(torch.equal(*pair) for pair in zip(drawn(), expected, strict=True))
    assert [module for module in model.modules() if not module.training] == [frozen]


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_no_borders_have_no_centers_and_no_nats(kind):
    model, none = shaken_model(kind, **SMALL), border_of(0)
    nats = model.log_prob(none, torch.zeros(0, 3, 4, 4, dtype=torch.uint8), [])
    center, scored = model.sample_with_log_prob(none, generator=[torch.Generator(), torch.Generator()])
    empty = {torch.uint8: [center, model.sample(none, []), model.sample(none, cached=False)]}
    empty[torch.float32] = [nats, scored, *([model.mean(none)] if model.net.one_pass else [])]
    assert all(x.shape == (0, 3, 4, 4) and x.dtype == dtype for dtype, some in empty.items() for x in some)
    assert not model.caption_encoder or len(model.summaries([])) == 0
    with pytest.raises(ValueError, match="no generator"):
        model.sample(border_of(1), generator=[])
    with pytest.raises(ValueError, match="1 captions for 0"):
        model.sample(none, ["a dog"])


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda made: type(getattr(made, "inner", made)).__name__)
@pytest.mark.parametrize("scale", [0.0, 6.0, 60.0, 300.0])
def test_no_level_is_more_than_sure(likelihood, scale):
    generator = torch.Generator().manual_seed(0)
    params = scale * torch.randn(4, likelihood.params_per_pixel, 32, 32, generator=generator)
    params += likelihood.initial_bias().reshape(1, -1, 1, 1)
    noise = likelihood.noise(torch.rand(4, likelihood.uniforms_per_pixel, 32, 32, generator=generator))
    for x in (likelihood.sample(params, noise), *(torch.full((4, 3, 32, 32), v).byte() for v in (0, 1, 254, 255))):
        assert likelihood.log_prob(params, x).max() <= 0


def settings():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.fixture
def reduced_precision():
    was = settings()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    yield
    torch.set_float32_matmul_precision(was[0])
    torch.backends.cudnn.allow_tf32 = was[1]


@pytest.mark.parametrize("decoder", ["contour", "gated"])
def test_nats_samples_and_means_are_computed_without_tf32_and_the_setting_stays(decoder, reduced_precision):
    model, seen = shaken_model(kind(decoder, "gaussian"), **SMALL), []
    model.net.tower.register_forward_hook(lambda *called: seen.append(settings()))
    center = model.sample(border_of(1))
    model.log_prob(border_of(1), center)
    model.mean(border_of(1))
    assert len(seen) >= 2 and set(seen) == {("highest", False)} and settings() == ("high", True)
    seen.clear()
    model.train().log_prob(border_of(1), center)  # a training step may use it
    assert seen == [("high", True)]


def test_settings_made_by_fp32_precision_are_kept_as_well():
    matmul = torch.backends.cuda.matmul
    was = matmul.fp32_precision
    try:
        matmul.fp32_precision = "tf32"
        with exact_float32("cpu"):
            assert matmul.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = was


@pytest.mark.parametrize("set_by", ["the old names", "fp32_precision", "all of oneDNN"])
def test_no_product_of_the_cpu_is_of_reduced_precision_and_each_setting_stays(set_by):
    mkldnn = torch.backends.mkldnn
    products = [mkldnn.matmul, mkldnn.conv, mkldnn.rnn, torch.backends.cuda.matmul]
    was = [product.fp32_precision for product in products]
    try:
        if set_by == "the old names":
            torch.set_float32_matmul_precision("medium")
        elif set_by == "fp32_precision":
            mkldnn.conv.fp32_precision = "bf16"  # the old names can still be read beside it
        else:
            mkldnn.fp32_precision = "bf16"
        here = [product.fp32_precision for product in products]
        with exact_float32("cpu"):
            assert all(product.fp32_precision == "ieee" for product in products[:3])
        assert [product.fp32_precision for product in products] == here != was
    finally:
        torch.set_float32_matmul_precision("highest")
        mkldnn.fp32_precision = "none"
        for product, value in zip(products, was, strict=True):
            product.fp32_precision = value


def test_a_device_without_float64_draws_in_float32_and_says_so_once(monkeypatch):
    assert float64_or_less(torch.float64, torch.device("mps")) == torch.float32
    assert float64_or_less(torch.float64, torch.device("cpu")) == torch.float64
    monkeypatch.setattr("models.inpainter.float64_or_less", lambda dtype, device: torch.float32)
    model = shaken_model(kind("gated", "gaussian"), **SMALL)
    with pytest.warns(UserWarning, match="no float64") as told:
        center = model.sample(border_of(1), generator=torch.Generator().manual_seed(0))
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = model.sample(border_of(1), generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    assert torch.equal(center, asked)


def test_captions_and_masks_that_do_not_fit_are_refused_before_anything_is_drawn():
    model = shaken_model(kind("gated", "categorical"), **SMALL)
    border, center = border_of(2), torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    for captions in (["a", "b", "c"], ["a"]):
        with pytest.raises(ValueError, match=f"{len(captions)} captions for 2 borders"):
            model.sample(border, captions, generator=[torch.Generator(), torch.Generator()])
    for known in (torch.ones(2, 1, 16, 16), torch.ones(1, 16, 16, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"known must be bool \(2, 1, 16, 16\)"):
            model.log_prob(border, center, known=known)
    with pytest.raises(ValueError, match="center must be uint8"):
        model.params(border, None, center[:1])
