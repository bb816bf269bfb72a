"""Error energy: the logarithms of the predictors' errors at the four pixels before, and how they enter the params."""

import torch
from every_model import OF_ERRORS, shaken_model
from torch import nn

from models import build
from models.canvas import Canvas
from models.error_energy import ErrorEnergy
from models.head import Head
from models.likelihoods import LogisticMixture
from models.predictors import LinearPredictors

CANVAS = Canvas((5, 5, 4, 4), 16)
SMALL = {"image_size": 16, "hole": (5, 5, 4, 4)}


def test_it_is_the_logarithm_of_the_squared_errors_at_left_above_and_both_corners():
    predictors = LinearPredictors(CANVAS, 4).double()  # left + above - above left; a mean of four; left; above
    energy = ErrorEnergy(CANVAS, 4, Head(5, (12,), LogisticMixture(), 0, nn.SiLU), 48).double()
    with torch.no_grad():
        energy.to_params.weight.copy_(torch.eye(48)[:, :, None, None])  # so that the params are the logarithms
    x = torch.rand(2, 4, CANVAS.rows, CANVAS.columns, generator=torch.Generator().manual_seed(0)).double() - 0.5
    found = energy(x, predictors).params.unflatten(1, (4, 3, 4))  # (B, place, channel, predictor, h, w)
    row, column = CANVAS.top + 2, CANVAS.left + 3
    for k, (i, j) in enumerate([(0, -1), (-1, 0), (-1, -1), (-1, 1)]):
        at = x[:, :3, row + i, column + j]
        left, above = x[:, :3, row + i, column + j - 1], x[:, :3, row + i - 1, column + j]
        corner = x[:, :3, row + i - 1, column + j - 1]
        for which, guess in ((0, left + above - corner), (2, left), (3, above)):
            expected = (torch.log((at - guess) ** 2 + 1 / 255**2) + 6) / 3
            torch.testing.assert_close(found[:, k, :, which, 2, 3], expected)


def test_at_first_it_changes_nothing_and_then_it_does():
    options = {"size": "xs", "use_captions": False, **SMALL}
    torch.manual_seed(0)
    plain = build("pixelcnn", "logistic-mixture", **options).eval()
    torch.manual_seed(0)
    model = build("pixelcnn", "logistic-mixture", error_energy=True, **options).eval()
    border = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    center = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model.log_prob(border, center), plain.log_prob(border, center))
        model.net.energy.to_params.weight.add_(0.01)
        assert not torch.equal(model.log_prob(border, center), plain.log_prob(border, center))


def test_training_reaches_its_weights_and_not_the_predictors_through_it():
    model = shaken_model(OF_ERRORS[0], **SMALL)
    canvas = torch.rand(1, 4, CANVAS.rows, CANVAS.columns)
    energy = model.net.energy(canvas, model.net.anchor)
    (energy.hidden.sum() + energy.params.sum()).backward()
    assert model.net.energy.to_hidden.weight.grad.abs().sum() > 0
    assert model.net.energy.to_params.weight.grad.abs().sum() > 0
    assert model.net.anchor.weight.grad is None
