"""Masks: any pixels of the hole may be known, each model's nats are still those of one distribution, and drawing keeps
to it."""

import pytest
import torch
from every_model import CAUSAL, kind, name_of, shaken_model

import models
from models import caption_encoder
from models.intensity import normalize
from models.stacks.families import DECODERS

SIDE, HOLE = 16, (5, 4, 4, 5)
ALL = [
    {**options, "masks": "mixed"}
    for options in [*(kind("contour", likelihood) for likelihood in models.LIKELIHOODS), *CAUSAL]
]
ALL += [kind("pixelcnn", "logistic-mixture"), kind("gated", "gaussian")]  # trained on boxes alone
ALL += [kind("multiscale", "logistic-mixture", inner=inner, masks="mixed") for inner in ("pixelcnn", "contour")]
QUICK = ("logistic-mixture", "categorical")  # one that couples the colors, one that does not
MASKED = [
    pytest.param(options, id=name_of(options), marks=[] if options["likelihood"] in QUICK else pytest.mark.slow)
    for options in ALL
]


def photos(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    border = torch.randint(0, 256, (n, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    return border, torch.randint(0, 256, (n, 3, *HOLE[2:]), dtype=torch.uint8, generator=generator)


def masks(n, seed=0, share=0.5):
    """Random ones, which differ in a batch; a strip outside the hole is unknown in every other."""
    known = torch.rand(n, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) < share
    outside = torch.ones(SIDE, SIDE, dtype=torch.bool)
    of_hole(outside[None]).fill_(False)
    known |= outside
    known[::2, :, :, 13:] = False
    return known


def of_hole(x):
    top, left, h, w = HOLE
    return x[..., top : top + h, left : left + w]


def small(options):
    return shaken_model(options, image_size=SIDE, hole=HOLE)


@pytest.mark.parametrize("options", MASKED)
def test_an_unknown_pixel_sees_all_that_is_known_and_no_unknown_one_that_is_not_before_it(options):
    model, (border, center), known = small(options), photos(4), masks(4)
    codes = caption_encoder.encode(["a dog"] * 4)
    summary = model.caption_encoder.summary(codes).detach().double()
    model = model.double()
    image = model._masked(border, known).double().requires_grad_()
    center = torch.where(of_hole(known), of_hole(border), center)
    center = normalize(model.likelihood.quantize(center), torch.float64).requires_grad_()
    params = model.net.params(image, model.caption_of(summary), center)
    inside = of_hole(known).expand(-1, 3, -1, -1)
    generator, asked = torch.Generator().manual_seed(0), 0
    for i, j in [(0, 0), (0, 4), (1, 2), (2, 1), (3, 0), (3, 3)]:
        unknown = ~of_hole(known)[:, 0, i, j]  # the images of which anything is asked
        for channel in range(1 if model.likelihood.coupled else 3):
            mine = params if model.likelihood.coupled else params.chunk(3, dim=1)[channel]
            weights = torch.randn(mine.shape[1], generator=generator, dtype=mine.dtype)
            gradients = torch.autograd.grad(
                (mine[:, :, i, j] @ weights).sum(), (image, center), retain_graph=True, allow_unused=True
            )
            by_image, by_center = (None if g is None else g.abs()[unknown] > 0 for g in gradients)
            reached = of_hole(by_image)[:, :3]
            if by_center is not None:
                reached = reached | by_center
                later = model.order >= model.order[channel, i, j]
                assert not by_center[later & ~inside[unknown]].any()
            assert reached[inside[unknown]].all()
            asked += len(reached)
    assert asked > 5


@pytest.mark.parametrize("options", MASKED)
def test_what_is_unknown_outside_the_hole_and_what_is_known_inside_of_the_center_are_never_read(options):
    model, (border, center), known = small(options), photos(3), masks(3)
    other, noise = photos(3, seed=1)
    changed = torch.where(known, border, other)
    moved = torch.where(of_hole(known), noise, center)
    with torch.no_grad():
        first = model.log_prob(border, center, ["a dog"] * 3, known=known)
        again = model.log_prob(changed, moved, ["a dog"] * 3, known=known)
    assert torch.equal(first, again) and (first[of_hole(known).expand_as(first)] == 0).all()
    assert (first < 0)[~of_hole(known).expand_as(first)].float().mean() > 0.9
    draw = [
        model.sample(b, ["a dog"] * 3, known=known, generator=torch.Generator().manual_seed(0))
        for b in (border, changed)
    ]
    assert torch.equal(*draw)


@pytest.mark.parametrize("options", MASKED)
def test_cached_and_plain_drawing_give_the_same_and_score_it_as_log_prob_does_within_masks(options):
    model, (border, _), known = small(options), photos(3), masks(3)
    captions = ["a dog", "", "two"]
    draws = [
        model.sample_with_log_prob(
            border, captions, known=known, generator=torch.Generator().manual_seed(3), cached=cached
        )
        for cached in (True, False)
    ]
    assert torch.equal(draws[0][0], draws[1][0])
    drawn, nats = draws[0]
    with torch.no_grad():
        scored = model.log_prob(border, drawn, captions, known=known)
    torch.testing.assert_close(nats, scored, atol=1e-4, rtol=1e-4)
    inside = of_hole(known).expand_as(drawn)
    assert torch.equal(drawn[inside], of_hole(border)[inside])
    assert not torch.equal(drawn, of_hole(border))


@pytest.mark.parametrize("options", MASKED)
def test_nats_and_drawings_within_masks_do_not_depend_on_the_batch(options):
    model, (border, center), known = small(options), photos(3), masks(3)
    captions = ["a dog", "", "two"]
    with torch.no_grad():
        together = model.log_prob(border, center, captions, known=known)
        alone = [
            model.log_prob(border[k:][:1], center[k:][:1], captions[k:][:1], known=known[k:][:1]) for k in range(3)
        ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)
    generators = [torch.Generator().manual_seed(k) for k in range(3)]
    drawn = model.sample(border, captions, known=known, generator=generators)
    for k in range(3):
        one = border[k : k + 1], captions[k : k + 1]
        single = model.sample(*one, known=known[k : k + 1], generator=torch.Generator().manual_seed(k))
        assert torch.equal(drawn[k : k + 1], single)


@pytest.mark.parametrize("decoder", ["multiscale", "parallel"])
@pytest.mark.parametrize("hole", [(0, 0, SIDE, SIDE), (1, 1, SIDE - 1, SIDE - 1)], ids=["whole", "nearly"])
def test_pixels_known_between_those_of_the_coarsest_grid_are_of_their_own_image(decoder, hole):
    model = shaken_model(kind(decoder, "gaussian", masks="mixed"), image_size=SIDE, hole=hole)
    border, top = photos(3)[0], hole[0]
    known = torch.zeros(3, 1, SIDE, SIDE, dtype=torch.bool)
    known[:, :, : 2 * top or SIDE : 2, 1::2] = True  # of the coarsest grid, which begins at (0, 0), nothing
    with torch.no_grad():
        together = model.log_prob(border, border[:, :, top:, top:], known=known)
        parts = [(border[k:][:1], known[k:][:1]) for k in range(3)]
        alone = [model.log_prob(x, x[:, :, top:, top:], known=mask) for x, mask in parts]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", MASKED)
def test_the_levels_of_each_unknown_subpixel_sum_to_one_within_masks(options):
    """Given those before it; with causality the masses of all fillings do, then."""
    model, (border, center), known = small(options), photos(1), masks(2, seed=4)[1:]
    if not model.likelihood.proper:
        pytest.skip("the cross-entropy of shades is no distribution")
    levels = model.likelihood.intensity_of(torch.arange(model.likelihood.levels))
    count = len(levels)
    places = (~of_hole(known)[0, 0]).nonzero().tolist()
    for i, j in (places[0], places[len(places) // 2], places[-1]):
        for channel in range(3):
            centers = center.repeat(count, 1, 1, 1)
            centers[:, channel, i, j] = levels
            with torch.no_grad():
                nats = model.log_prob(
                    border.expand(count, -1, -1, -1), centers, ["a"] * count, known=known.expand(count, -1, -1, -1)
                )
            assert nats[:, channel, i, j].double().exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("options", [kind(d, "bernoulli", levels=2, masks="mixed") for d in DECODERS], ids=name_of)
def test_the_masses_of_all_fillings_of_a_mask_sum_to_one(options):
    model, (border, _), known = small(options), photos(1), torch.ones(1, 1, SIDE, SIDE, dtype=torch.bool)
    top, left = HOLE[:2]
    for i, j in [(0, 1), (1, 3), (3, 0)]:
        known[..., top + i, left + j] = False
    fillings = torch.cartesian_prod(*[torch.tensor([0, 255], dtype=torch.uint8)] * 9)  # (512, 9)
    centers = torch.zeros(512, 3, *HOLE[2:], dtype=torch.uint8)
    centers[..., [0, 1, 3], [1, 3, 0]] = fillings.view(512, 3, 3)
    with torch.no_grad():
        nats = model.log_prob(border.expand(512, -1, -1, -1), centers, ["a"] * 512, known=known.expand(512, -1, -1, -1))
    assert nats.double().sum((1, 2, 3)).exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_mask_with_nothing_unknown_costs_nothing_and_draws_nothing(decoder):
    model, (border, center) = small(kind(decoder, "gaussian", masks="mixed")), photos(2)
    known = torch.ones(2, 1, SIDE, SIDE, dtype=torch.bool)
    with torch.no_grad():
        assert (model.log_prob(border, center, known=known) == 0).all()
    drawn, nats = model.sample_with_log_prob(border, known=known)
    assert torch.equal(drawn, of_hole(border)) and (nats == 0).all()
    mean = model.mean(border, known=known)
    assert mean is None or torch.equal(mean, of_hole(border).float())


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_mask_of_the_whole_hole_is_no_mask(decoder):
    model, (border, center) = small(kind(decoder, "categorical", masks="mixed")), photos(2)
    known = torch.ones(2, 1, SIDE, SIDE, dtype=torch.bool)
    of_hole(known).fill_(False)
    with torch.no_grad():
        assert torch.equal(model.log_prob(border, center), model.log_prob(border, center, known=known))
    draws = [model.sample(border, generator=torch.Generator().manual_seed(1), **how) for how in ({}, {"known": known})]
    assert torch.equal(*draws)


def test_a_tower_that_cannot_tell_refuses_known_pixels_inside_the_hole():
    for tower, decoder in (("ift6266", "contour"), ("none", "gated")):
        model, (border, center) = small(kind(decoder, "gaussian", tower)), photos(1)
        known = torch.ones(1, 1, SIDE, SIDE, dtype=torch.bool)
        with pytest.raises(ValueError, match=f"tower {tower} cannot tell known pixels"):
            model.log_prob(border, center, known=known)
        with pytest.raises(ValueError, match=f"tower {tower} cannot tell known pixels"):
            model.sample(border, known=known)
        of_hole(known).fill_(False)
        known[..., :2] = False
        model.log_prob(border, center, known=known)  # what is unknown outside is another thing
        with pytest.raises(ValueError, match="masks mixed"):
            models.build(decoder, "gaussian", tower=tower, masks="mixed")
