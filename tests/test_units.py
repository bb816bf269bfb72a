"""Units: one rule everywhere, and the Bernoulli floor is the entropy of the targets."""

import math

import numpy as np
import pytest
import torch

from inpaint import units

HOLE = (16, 16, 32, 32)


def test_uniform_guessing_costs_eight_bits_per_dim():
    nats = 3 * 32 * 32 * math.log(256)
    assert units.bits_per_dim(nats, HOLE) == pytest.approx(8, abs=1e-12)
    assert units.nats_per_pixel(nats, HOLE) == pytest.approx(3 * math.log(256), abs=1e-12)


def test_units_follow_the_hole_not_the_main_task():
    assert units.nats_per_pixel(12.0, (0, 0, 2, 3)) == 2.0
    assert units.bits_per_dim(18 * math.log(2), (0, 0, 2, 3)) == pytest.approx(1.0)


def test_floor_is_the_entropy_of_the_targets():
    center = torch.tensor([[[[0, 255]], [[51, 204]], [[128, 7]]]], dtype=torch.uint8)  # (1, 3, 1, 2)
    expected = sum(-p * math.log(p) - (1 - p) * math.log(1 - p) for p in (51 / 255, 204 / 255, 128 / 255, 7 / 255))
    floor = units.bernoulli_floor(center)
    assert floor.dtype == np.float64 and floor.shape == (1,)
    assert floor[0] == pytest.approx(expected, rel=1e-12)


def test_no_bernoulli_prediction_is_below_the_floor_and_the_target_itself_reaches_it():
    center = torch.randint(1, 255, (4, 3, 5, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    target = center.double() / 255

    def cross_entropy(p):
        return -(target * p.log() + (1 - target) * (1 - p).log()).sum(dim=(1, 2, 3)).numpy()

    floor = units.bernoulli_floor(center)
    np.testing.assert_allclose(cross_entropy(target), floor, rtol=1e-12)
    assert (cross_entropy(target * 0.98 + 0.01) > floor).all()
