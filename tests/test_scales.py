"""Coarse to fine: the photo of half the resolution, what is known when, and how few calls a parallel center takes."""

import pytest
import torch
from every_model import kind, shaken_model

from models.border_tower import UNetTower
from models.incremental import IncrementalPass
from models.layers.region import Region
from models.multiscale import HalfResolution, with_known

HOLES = [(16, 16, 32, 32), (3, 6, 5, 7), (0, 0, 28, 28), (7, 1, 1, 9), (9, 9, 1, 1)]


@pytest.mark.parametrize("hole", HOLES, ids=str)
def test_the_half_resolution_holds_every_second_pixel_of_the_hole(hole):
    side = 64 if hole[0] == 16 else 28
    image = torch.arange(1, 4 * side * side + 1, dtype=torch.float64).reshape(1, 4, side, side)
    half = HalfResolution(hole, side)
    small = half.of(image)
    assert small.shape == (1, 16, half.image_size, half.image_size) and half.image_size % 2 == 0
    assert set(small[small > 0].tolist()) == set(image.flatten().tolist())  # every pixel is somewhere
    top, left, h, w = hole
    of_hole = image[:, :, top : top + h : 2, left : left + w : 2]
    top, left, h, w = half.hole
    assert torch.equal(small[:, :4, top : top + h, left : left + w], of_hole)


def test_making_pixels_known_leaves_the_photo_as_it_was():
    x = torch.zeros(2, 4, 8, 8)
    known = with_known(
        x, Region(2, 2, 6, 6, 8, 8), (slice(0, None, 2), slice(1, None, 2)), torch.full((2, 3, 2, 2), 0.5)
    )
    assert not x.any() and known[:, 3].sum() == 2 * 4 and known[0, :, 2, 3].tolist() == [0.5, 0.5, 0.5, 1]


@pytest.mark.parametrize("decoder", ["multiscale", "parallel"])
def test_coarse_pixels_come_first(decoder):
    order = shaken_model(kind(decoder, "gaussian")).order
    assert order[:, ::2, ::2].max() < order[:, 1::2].min() and order[:, ::2, ::2].max() < order[:, :, 1::2].min()
    if decoder == "parallel":  # 4 x 4 one by one, then three turns at each of three doublings, color by color
        assert order.unique().tolist() == list(range(3 * (16 + 9)))


def test_a_parallel_center_takes_some_tens_of_network_calls(monkeypatch):
    calls = []
    monkeypatch.setattr(UNetTower, "forward", counting(UNetTower.forward, calls))
    monkeypatch.setattr(IncrementalPass, "features", counting(IncrementalPass.features, calls))
    model = shaken_model(kind("parallel", "logistic-mixture"))
    border = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    model.sample(border)
    assert len(calls) == 16 + 1 + 9


def counting(function, calls):
    def counted(*arguments, **options):
        calls.append(1)
        return function(*arguments, **options)

    return counted


@pytest.mark.parametrize("likelihood", ["categorical", "logistic-mixture"])
def test_a_net_without_a_stack_may_be_inside(likelihood):
    model = shaken_model(kind("multiscale", likelihood, inner="contour"), image_size=16, hole=(5, 4, 4, 5))
    border = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    drawn, nats = model.sample_with_log_prob(border, ["a dog", ""], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(nats, model.log_prob(border, drawn, ["a dog", ""]), atol=1e-4, rtol=1e-4)
    assert model.mean(border) is None
