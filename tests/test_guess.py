"""The first guess is the ridge regression it says it is, generalises, and starts the network where it stands."""

import numpy as np
import pytest
import torch

import models
from models.guess import BorderRegression

HOLE = (16, 16, 32, 32)


def smooth_photos(n, seed=0):
    """uint8 (n, 3, 64, 64): colour gradients, whose center follows linearly from their border."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(-1, 1, 64)
    slopes = random.uniform(-50, 50, (n, 3, 2))
    planes = slopes[..., :1, None] * ramp[:, None] + slopes[..., 1:, None] * ramp[None, :]  # (n, 3, 64, 64)
    return torch.from_numpy(np.rint(127.5 + random.uniform(-20, 20, (n, 3, 1, 1)) + planes).astype(np.uint8))


def numbered(photos, first=0):
    return photos, torch.arange(first, first + len(photos))


def without_center(photos):
    x = photos.float() / 127.5 - 1
    center = x[:, :, 16:48, 16:48].clone()
    x[:, :, 16:48, 16:48] = 0
    return x, center


def test_it_predicts_unseen_centers_that_follow_linearly_from_their_border():
    regression = BorderRegression(HOLE, 64)
    regression.fit([numbered(smooth_photos(150, seed), 150 * seed) for seed in range(2)])
    x, center = without_center(smooth_photos(50, seed=9))
    error = (regression(x) - center).abs().mean()
    assert error < 0.02 < 0.1 < center.abs().mean()  # in units of half the range


def test_it_is_the_minimiser_of_the_penalised_squares():
    """Against numpy's least squares on the same features with the penalty's rows appended."""
    regression = BorderRegression((2, 2, 4, 4), 8).double()
    generator = torch.Generator().manual_seed(0)
    photos = torch.randint(0, 256, (60, 3, 8, 8), dtype=torch.uint8, generator=generator)
    penalty = regression.float().fit([numbered(photos)])
    x = photos.float() / 127.5 - 1
    center = x[:, :, 2:6, 2:6].clone()
    x[:, :, 2:6, 2:6] = 0
    features = regression._features(x).double().numpy()
    target = torch.nn.functional.avg_pool2d(center, 2).flatten(1).double().numpy()
    rows = np.sqrt(60 * penalty) * np.eye(features.shape[1])
    rows[-1] = 0
    expected, *_ = np.linalg.lstsq(np.vstack([features, rows]), np.vstack([target, np.zeros((len(rows), 12))]))
    np.testing.assert_allclose(regression.weight.numpy(), expected, atol=1e-4)


def test_a_photo_that_was_fitted_to_does_not_leak_into_its_own_training_guess():
    noise = torch.randint(0, 256, (300, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    regression = BorderRegression(HOLE, 64)
    regression.fit([numbered(noise)])
    x, center = without_center(noise)

    def explained(guess):  # of noise, an honest guess explains nothing
        return float(torch.corrcoef(torch.stack([guess.flatten(), center.flatten()]))[0, 1])

    assert explained(regression(x)) > 0.05 > abs(explained(regression(x, torch.arange(300))))


def test_the_penalty_grows_with_the_noise():
    noise = torch.randint(0, 256, (400, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    quiet, loud = BorderRegression(HOLE, 64), BorderRegression(HOLE, 64)
    assert quiet.fit([numbered(smooth_photos(400))]) < loud.fit([numbered(noise)])


def test_the_guess_fills_the_hole_of_the_tower_s_input():
    torch.manual_seed(0)
    model = models.build(size="xs", use_captions=False).eval()
    photos = smooth_photos(100)
    model.first_guess.fit([numbered(photos)])
    border = photos.clone()
    border[:, :, 16:48, 16:48] = 0
    seen = []
    model.tower.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.params(border)
    x, center = without_center(photos)
    assert torch.equal(seen[0][:, :3, 16:48, 16:48], model.first_guess(x))
    assert torch.equal(seen[0][:, :3, :16], x[:, :, :16]) and not seen[0][:, 3, 16:48, 16:48].any()


@pytest.mark.parametrize(("size", "hole"), [(28, (0, 0, 28, 28)), (30, (3, 20, 7, 10)), (64, (0, 0, 5, 64))])
def test_any_hole_of_any_image_can_be_guessed(size, hole):
    regression = BorderRegression(hole, size)
    photos = torch.randint(0, 256, (40, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    regression.fit([numbered(photos)])
    x = photos.float() / 127.5 - 1
    top, left, h, w = hole
    x[:, :, top : top + h, left : left + w] = 0
    guess = regression(x)
    assert guess.shape == (40, 3, h, w) and guess.isfinite().all() and guess.abs().max() <= 1


def test_the_guess_is_saved_with_the_model_and_not_trained():
    model = models.build(size="xs")
    assert "first_guess.weight" in model.state_dict()
    assert not any(name.startswith("first_guess") for name, _ in model.named_parameters())
    assert models.build(tower="ift6266").first_guess is None
