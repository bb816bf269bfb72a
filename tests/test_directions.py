"""Two directions, mixed: nats of one distribution, and drawings from that very distribution."""

import math

import pytest
import torch
from every_model import kind, name_of, shaken_model
from test_masks import HOLE as WIDE
from test_masks import SIDE, masks, photos

from models.directions import TwoDirections, TwoMeans, in_two_directions, mixed

HOLE = (5, 6, 4, 4)  # in the middle of SIDE columns
CONES = [
    kind("pixelcnn", "logistic-mixture", masks="mixed"),
    kind("pixelcnn", "categorical", masks="mixed"),
    kind("rowlstm", "gaussian"),
    kind("pixelcnn", "bernoulli", caption_injection="all"),
]
ROWS = [*CONES, kind("gated", "logistic-mixture"), kind("diagbilstm", "bernoulli")]
CONTOURS = [
    kind("contour", "bernoulli", masks="mixed"),
    kind("contour", "bernoulli", levels=2, caption_injection="all"),
    kind("contour", "categorical"),
]
TEXTS = ["a", "a dog on a beach", ""]


def small(options):
    return in_two_directions(shaken_model(options, image_size=SIDE, hole=HOLE).eval())


def inside(x):
    top, left, h, w = HOLE
    return x[..., top : top + h, left : left + w]


def some(n):
    """Photos, their centers, and masks with about half of the hole unknown."""
    border, center = photos(n)
    known = masks(n)
    known[..., WIDE[0] : WIDE[0] + 4, 10:13] = True  # known columns of the wider hole
    return border, center[..., :4], known


@pytest.mark.parametrize("options", ROWS, ids=name_of)
def test_the_nats_of_a_row_are_the_log_of_the_mean_of_its_two_probabilities(options):
    model, (border, center, known) = small(options), some(3)
    plain = shaken_model(options, image_size=SIDE, hole=HOLE).eval()
    with torch.no_grad():
        found = model.log_prob(border, center, TEXTS, known=known)
        one = plain.log_prob(border, center, TEXTS, known=known).double().sum((1, 3))
        other = plain.log_prob(border.flip(3), center.flip(3), TEXTS, known=known.flip(3)).double().sum((1, 3))
    expected = ((one.exp() + other.exp()) / 2).log()
    torch.testing.assert_close(found.double().sum((1, 3)), expected, atol=1e-4, rtol=1e-5)
    assert (one - other).abs().min(dim=1).values.max() > 1e-3  # the two directions differ
    assert (found <= 0).all() and (found[inside(known).expand(-1, 3, -1, -1)] == 0).all()


@pytest.mark.parametrize("options", [k for k in ROWS if k["likelihood"] == "bernoulli"], ids=name_of)
def test_the_masses_of_all_fillings_sum_to_one(options):
    model, (border, _) = small(options), photos(1)
    known = torch.ones(1, 1, SIDE, SIDE, dtype=torch.bool)
    for i, j in [(0, 0), (0, 3), (2, 1)]:  # two in one row
        inside(known)[..., i, j] = False
    fillings = torch.cartesian_prod(*[torch.tensor([0, 255], dtype=torch.uint8)] * 9)  # (512, 9)
    centers = torch.zeros(512, 3, 4, 4, dtype=torch.uint8)
    centers[..., [0, 0, 2], [0, 3, 1]] = fillings.view(512, 3, 3)
    with torch.no_grad():
        nats = model.log_prob(border.expand(512, -1, -1, -1), centers, ["a"] * 512, known=known.expand(512, -1, -1, -1))
    assert nats.double().sum((1, 2, 3)).exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("options", CONES, ids=name_of)
def test_cached_and_plain_drawing_give_the_same(options):
    model, (border, _, known) = small(options), some(3)
    for masked in (None, known):
        draws = [
            model.sample(border, TEXTS, known=masked, generator=torch.Generator().manual_seed(5), cached=cached)
            for cached in (True, False)
        ]
        assert torch.equal(*draws)
        if masked is not None:
            assert torch.equal(draws[0] * inside(masked), inside(border) * inside(masked))


def test_drawings_come_as_often_as_their_probability_says():
    model, (border, _) = small(kind("pixelcnn", "bernoulli", masks="mixed", channels=1)), photos(1)
    with torch.no_grad():
        for head in [model.net.head.out]:
            head.weight.mul_(20)  # so that the directions differ
    known = torch.ones(1, 1, SIDE, SIDE, dtype=torch.bool)
    for j in range(3):
        inside(known)[..., 1, j] = False
    border = border[:, :1].expand(-1, 3, -1, -1)
    fillings = torch.cartesian_prod(*[torch.tensor([0, 255], dtype=torch.uint8)] * 3)  # (8, 3)
    centers = torch.zeros(8, 3, 4, 4, dtype=torch.uint8)
    centers[:, :, 1, :3] = fillings[:, None]
    n = 4000
    with torch.no_grad():
        nats = model.log_prob(border.expand(8, -1, -1, -1), centers, known=known.expand(8, -1, -1, -1))
        straight = super(TwoDirections, model).log_prob(
            border.expand(8, -1, -1, -1), centers, known=known.expand(8, -1, -1, -1)
        )
    expected, alone = (x.double().sum((1, 2, 3)).exp() for x in (nats, straight))
    generator = torch.Generator().manual_seed(0)
    drawn = model.sample(border.expand(n, -1, -1, -1), known=known.expand(n, -1, -1, -1), generator=generator)
    which = (drawn[:, 0, 1, :3] > 127).long() @ torch.tensor([4, 2, 1])
    found = which.bincount(minlength=8) / n
    spread = (expected * (1 - expected) / n).sqrt()
    assert expected.sum().item() == pytest.approx(1, abs=1e-5)
    assert ((found - expected).abs() < 4 * spread).all()
    assert ((found - alone).abs() > 4 * spread).any()  # the test can tell one direction from two


def test_scored_drawings_have_the_nats_of_log_prob():
    model, (border, _, known) = small(CONES[0]), some(3)
    center, nats = model.sample_with_log_prob(border, TEXTS, known=known, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(nats, model.log_prob(border, center, TEXTS, known=known))
    assert torch.equal(center, model.sample(border, TEXTS, known=known, generator=torch.Generator().manual_seed(1)))


def test_generators_share_a_batch_as_if_each_were_alone():
    model, (border, _) = small(CONES[0]), photos(2)
    together = model.sample(border, generator=[torch.Generator().manual_seed(k) for k in (1, 2)])
    alone = [model.sample(border[k : k + 1], generator=torch.Generator().manual_seed(k + 1)) for k in (0, 1)]
    assert torch.equal(together, torch.cat(alone))


def test_impossible_rows_are_mixed_without_nan():
    nothing = torch.full((1, 3, 2, 2), -math.inf)
    one = torch.full((1, 3, 2, 2), -1.0)
    assert mixed(one, nothing).sum().item() == pytest.approx(-12 - 2 * math.log(2))
    assert (mixed(nothing, nothing) == -math.inf).all()


@pytest.mark.parametrize("decoder", ["contour", "parallel", "multiscale"])
def test_decoders_that_do_not_draw_row_by_row_are_refused(decoder):
    with pytest.raises(ValueError, match="row by row"):
        small(kind(decoder, "logistic-mixture"))


@pytest.mark.parametrize("decoder", ["parallel", "multiscale"])
def test_so_are_they_with_holes_of_one_row_which_none_is_above(decoder):
    with pytest.raises(ValueError, match="row by row"):
        in_two_directions(shaken_model(kind(decoder, "logistic-mixture"), image_size=SIDE, hole=(6, 6, 1, 4)))


@pytest.mark.parametrize("options", [CONES[0], kind("contour", "bernoulli")], ids=name_of)
def test_a_hole_out_of_the_middle_is_refused(options):
    with pytest.raises(ValueError, match="middle"):
        in_two_directions(shaken_model(options, image_size=SIDE, hole=WIDE))


def test_only_contour_gives_two_means():
    with pytest.raises(ValueError, match="not pixelcnn with bernoulli"):
        TwoMeans(shaken_model(kind("pixelcnn", "bernoulli"), image_size=SIDE, hole=HOLE))


@pytest.mark.parametrize("options", CONTOURS, ids=name_of)
def test_contour_s_logits_are_the_mean_of_both(options):
    model, (border, center, known) = small(options), some(3)
    plain = shaken_model(options, image_size=SIDE, hole=HOLE).eval()
    with torch.no_grad():
        one = plain.params(border, TEXTS, known=known)
        other = plain.params(border.flip(3), TEXTS, known=known.flip(3)).flip(3)
        unknown = ~inside(known).expand(-1, 3, -1, -1)
        expected = torch.where(unknown, plain.likelihood.log_prob((one + other) / 2, center), 0)
        torch.testing.assert_close(model.log_prob(border, center, TEXTS, known=known), expected)
        drawn = model.sample(border, TEXTS, known=known, generator=torch.Generator().manual_seed(0))
        uniforms = torch.rand(3, plain.likelihood.uniforms_per_pixel, 4, 4, generator=torch.Generator().manual_seed(0))
        noise = plain.likelihood.noise(uniforms)
        theirs = plain.likelihood.sample((one + other) / 2, noise)
    assert (one - other).abs().max() > 0.01
    assert torch.equal(drawn, torch.where(unknown, theirs, inside(border)))


@pytest.mark.parametrize("channels", [1, 3])
def test_contour_s_mean_of_a_mirrored_photo_is_mirrored(channels):
    shape = {"image_size": SIDE, "hole": HOLE, "channels": channels}
    model, border = in_two_directions(shaken_model(kind("contour", "bernoulli"), **shape).eval()), photos(2)[0]
    border = border[:, :channels].expand(-1, 3, -1, -1)
    one, other = model.mean(border, TEXTS[:2]), model.mean(border.flip(3), TEXTS[:2])
    torch.testing.assert_close(one, other.flip(3))
    plain = shaken_model(kind("contour", "bernoulli"), **shape).eval()
    assert (plain.mean(border, TEXTS[:2]) - plain.mean(border.flip(3), TEXTS[:2]).flip(3)).abs().max() > 1


def test_a_stack_without_waves_is_scored_and_drawn_plainly_alone():
    model, (border, _) = small(kind("gated", "gaussian")), photos(1)
    with pytest.raises(ValueError, match="waves"):
        model.sample(border)
    assert model.sample(border, cached=False).shape == (1, 3, 4, 4)
