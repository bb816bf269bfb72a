"""What likelihoods start from: predictions of a pixel from its neighbours, and copies of known pixels."""

import math

import pytest
import torch

from models.canvas import Canvas
from models.layers.twins import Cursor, stepwise
from models.likelihoods import Categorical, Gaussian, LogisticMixture
from models.predictors import CopyCandidates, KnownCandidates, LinearPredictors, padded, trimmed

SIZE = 16
HOLES = [(4, 5, 6, 7), (0, 0, 5, 4), (11, 10, 5, 6), (0, 0, 16, 16), (3, 0, 1, 16)]


def image_of(seed: int = 0) -> torch.Tensor:
    """Intensities of whole levels in -1..1 and a mask of ones: (2, 4, SIZE, SIZE) float64."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 256, (2, 3, SIZE, SIZE), generator=generator).double()
    return torch.cat([levels / 127.5 - 1, torch.ones(2, 1, SIZE, SIZE).double()], dim=1)


def anchors_on(hole):
    canvas = Canvas(hole, SIZE)
    predictions = LinearPredictors(canvas, 10)
    with torch.no_grad():
        predictions.weight.add_(0.1 * torch.randn(predictions.weight.shape, generator=torch.Generator().manual_seed(1)))
    return canvas, predictions.double(), CopyCandidates(canvas).double()


@pytest.mark.parametrize("hole", HOLES)
def test_while_drawing_each_pixel_s_are_those_of_the_whole_canvas(hole):
    canvas, *anchors = anchors_on(hole)
    image = image_of()
    _, _, h, w = hole
    for anchor in anchors:
        whole = anchor(canvas.of(image), image)
        assert whole.shape == (2, whole.shape[1], h, w)
        with_margin = padded(canvas.of(image))
        assert torch.equal(trimmed(with_margin), canvas.of(image))
        hidden = canvas.hole_of(trimmed(with_margin))  # a view
        known = hidden.clone()
        hidden.zero_()
        at = stepwise(anchor, Cursor(canvas.columns))
        at.start(with_margin, image)
        for i in range(h):
            for j in range(w):
                torch.testing.assert_close(at(i, j), whole[:, :, i, j], atol=1e-12, rtol=0)
                hidden[:, :, i, j] = known[:, :, i, j]


@pytest.mark.parametrize("hole", HOLES)
def test_nothing_that_comes_later_is_read(hole):
    canvas, *anchors = anchors_on(hole)
    image, other = image_of(0), image_of(1)
    _, _, h, w = hole
    for anchor in anchors:
        for i, j in ((0, 0), (h // 2, w // 2), (h - 1, w - 1)):
            changed = canvas.of(image)
            hidden, later = canvas.hole_of(changed), canvas.hole_of(canvas.of(other))
            hidden[:, :, i, j:], hidden[:, :, i + 1 :] = later[:, :, i, j:], later[:, :, i + 1 :]
            assert torch.equal(anchor(changed, image)[:, :, i, j], anchor(canvas.of(image), image)[:, :, i, j])


def test_predictions_begin_as_the_coders_own():
    canvas = Canvas((4, 5, 6, 7), SIZE)
    image = image_of()
    first, _, left, above = (
        LinearPredictors(canvas, 10).double()(canvas.of(image), image).unflatten(1, (3, 10))[:, :, :4].unbind(2)
    )

    def neighbour(row, column):
        return image[:, :3, 4 + row : 10 + row, 5 + column : 12 + column]

    torch.testing.assert_close(left, neighbour(0, -1))
    torch.testing.assert_close(above, neighbour(-1, 0))
    torch.testing.assert_close(first, neighbour(0, -1) + neighbour(-1, 0) - neighbour(-1, -1))


def test_copies_are_the_neighbours_and_the_border_on_each_side():
    image = image_of()
    image[:, 3, 4:10, 5:12] = 0  # the hole is unknown
    canvas = Canvas((4, 5, 6, 7), SIZE)
    copies = CopyCandidates(canvas)(canvas.of(image), image).unflatten(1, (3, 8))  # (B, 3, 8, h, w)
    for k, (row, column) in enumerate([(0, -1), (-1, 0), (-1, -1), (-1, 1)]):
        assert torch.equal(copies[:, :, k], image[:, :3, 4 + row : 10 + row, 5 + column : 12 + column])
    above, left, right, below = copies[:, :, 4:].unbind(2)
    assert torch.equal(above, image[:, :3, 3:4, 5:12].expand_as(above))
    assert torch.equal(left, image[:, :3, 4:10, 4:5].expand_as(left))
    assert torch.equal(right, image[:, :3, 4:10, 12:13].expand_as(right))
    assert torch.equal(below, image[:, :3, 10:11, 5:12].expand_as(below))
    image[:, 3, 6, 7] = 1  # but a pixel
    again = CopyCandidates(canvas)(canvas.of(image), image).unflatten(1, (3, 8))
    assert torch.equal(again, copies)  # nothing inside the hole is a border pixel, as in a finer scale's holes
    copies = KnownCandidates(canvas)(canvas.of(image), image).unflatten(1, (3, 8))
    above, left, right, below = copies[:, :, 4:].unbind(2)
    for side, pixels in (
        (above, (slice(3, 6), 2)),
        (below, (slice(2), 2)),
        (left, (2, slice(3, 7))),
        (right, (2, slice(2))),
    ):
        assert (side[(..., *pixels)] == image[:, :3, 6, 7, None]).all()
    assert torch.equal(above[..., 0, 2], image[:, :3, 3, 7])
    image[:, 3], whole = 0, Canvas((0, 0, SIZE, SIZE), SIZE)
    assert (CopyCandidates(whole)(whole.of(image), image).unflatten(1, (3, 8))[:, :, 4:] == 0).all()


FAMILIES = [(LogisticMixture(), 30), (Gaussian(), 3), (Categorical(256, 8), 24), (Categorical(5, 8), 24)]


@pytest.mark.parametrize(("likelihood", "anchors"), FAMILIES)
def test_drawing_from_an_anchor_is_drawing_from_params_that_stand_by_themselves(likelihood, anchors):
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(3, likelihood.params_per_pixel, 4, 5, generator=generator, dtype=torch.float64) - 1
    anchor = 2 * torch.rand(3, anchors, 4, 5, generator=generator, dtype=torch.float64) - 1
    noise = likelihood.noise(torch.rand(3, likelihood.uniforms_per_pixel, 4, 5, generator=generator).double())
    by_themselves = likelihood.to_absolute(params, anchor)
    plain = Categorical(likelihood.levels) if isinstance(likelihood, Categorical) else likelihood
    for temperature in (1.0, 0.5):
        drawn = likelihood.sample(params, noise, temperature, anchor)
        assert torch.equal(drawn, plain.sample(by_themselves, noise, temperature))
    for i, j in ((0, 0), (3, 4)):  # and of one pixel alone
        one = likelihood.sample(params[..., i, j], noise[..., i, j], 1.0, anchor[..., i, j])
        assert torch.equal(one, likelihood.sample(params, noise, 1.0, anchor)[..., i, j])


def test_a_mixture_s_means_lie_at_its_anchors_and_errors_carry_over():
    likelihood = LogisticMixture()
    params = likelihood.initial_bias(relative=True).reshape(1, -1, 1, 1).clone()
    params[:, 40:70] = -7.0  # as narrow as can be
    anchor = torch.tensor([0.2, -0.4, 0.6]).repeat_interleave(10).reshape(1, -1, 1, 1)
    noise = torch.zeros(1, 13, 1, 1)
    middle = ((anchor[:, ::10] + 1) * 127.5).round()
    assert torch.equal(likelihood.sample(params, noise, 1.0, anchor).float(), middle)
    params[:, 10:20] = 20 / 127.5 * math.exp(7)  # red is 20 levels off: green and blue follow by what couples them
    by_red, by_green = torch.tanh(params[0, 70, 0, 0]), torch.tanh(params[0, 90, 0, 0])
    off = 20 * torch.stack([torch.ones(()), by_red, by_red * by_green]).reshape(1, 3, 1, 1)
    assert (likelihood.sample(params, noise, 1.0, anchor).float() - middle - off).abs().max() <= 1.5


def test_a_copied_level_gains_what_the_network_says_and_the_others_nothing():
    likelihood = Categorical(256, 8)
    params = torch.zeros(1, 3 * 264, 1, 1)
    params[:, 256] = 5.0  # red's first copy
    params[:, 264 + 256 : 264 + 258] = 2.0  # green's first two, which are of one level
    anchor = torch.zeros(1, 24, 1, 1)
    anchor[:, 0], anchor[:, 8], anchor[:, 9] = 100 / 127.5 - 1, 7 / 127.5 - 1, 7 / 127.5 - 1
    logits = likelihood.to_absolute(params, anchor).reshape(3, 256)
    assert logits[0, 100] == 5 and logits[1, 7] == 4
    assert logits.count_nonzero() == 2
