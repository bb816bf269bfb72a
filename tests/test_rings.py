"""Where the nats are: rings by their distance to the border, and sums that come out the same as the whole's."""

import numpy as np
import pytest
import torch

from inpaint import units
from inpaint.evaluation import rings
from inpaint.evaluation.rings import PixelNats, distances, floor_by_ring, ring_means


def test_distance_counts_pixels_from_the_nearest_known_one():
    assert distances((2, 2, 4, 5), 8).tolist() == [
        [1, 1, 1, 1, 1],
        [1, 2, 2, 2, 1],
        [1, 2, 2, 2, 1],
        [1, 1, 1, 1, 1],
    ]
    assert distances((16, 16, 32, 32), 64).max() == 16


def test_edge_of_the_image_is_no_border():
    assert distances((0, 0, 3, 3), 8).tolist() == [[3, 2, 1], [2, 2, 1], [1, 1, 1]]
    assert distances((0, 4, 8, 4), 8)[3].tolist() == [1, 2, 3, 4]


def test_hole_that_is_the_whole_image_has_no_rings():
    assert not distances((0, 0, 8, 8), 8).any()
    assert ring_means(np.ones((5, 8, 8)), (0, 0, 8, 8), 8).shape == (5, 0)
    where = PixelNats((0, 0, 8, 8), 8, np.arange(1))
    where.add(np.array([0]), -torch.ones(1, 3, 8, 8))
    pixels, by_ring = where.gathered()
    assert (pixels == 3).all() and by_ring.shape == (1, 0)


@pytest.mark.parametrize("hole", [(16, 16, 32, 32), (0, 3, 5, 9), (60, 60, 4, 4)])
def test_ring_means_are_means_over_the_pixels_at_each_distance(hole):
    pixels = np.random.default_rng(0).normal(size=(2, *hole[2:]))
    distance = distances(hole, 64)
    expected = [[image[distance == ring].mean() for ring in range(1, distance.max() + 1)] for image in pixels]
    np.testing.assert_allclose(ring_means(pixels, hole, 64), expected, atol=1e-12)


def test_pixels_and_rings_add_up_to_the_nats_per_image_in_any_batches():
    hole, log_prob = (4, 4, 8, 8), -torch.rand(7, 3, 8, 8)
    nats = -log_prob.double().sum(dim=(1, 2, 3)).numpy()
    where = PixelNats(hole, 16, np.arange(7))
    for positions in ([5, 0], [1, 2, 3, 4], [6]):
        where.add(np.array(positions), log_prob[positions])
    pixels, by_ring = where.gathered()
    assert pixels.sum() == pytest.approx(nats.mean())
    counts = np.bincount(distances(hole, 16).ravel())[1:]
    np.testing.assert_allclose(by_ring @ counts, nats)


def test_maps_of_several_processes_are_added_up(monkeypatch):
    hole, log_prob = (4, 4, 8, 8), -torch.rand(5, 3, 8, 8)
    alone, shares = PixelNats(hole, 16, np.arange(5)), [PixelNats(hole, 16, np.arange(5)) for _ in range(2)]
    alone.add(np.arange(5), log_prob)
    expected, _ = alone.gathered()
    for rank, share in enumerate(shares):
        share.add(np.arange(rank, 5, 2), log_prob[rank::2])
    halves = [share.gathered()[0] for share in shares]
    monkeypatch.setattr(rings, "all_gathered", lambda value: [half * 5 for half in halves])
    np.testing.assert_allclose(shares[0].gathered()[0], expected)


def test_floor_by_ring_adds_up_to_the_floor_of_the_image():
    class Photos:
        hole, image_size, channels, masks = (4, 4, 8, 8), 16, 3, "box"
        center = torch.randint(0, 256, (5, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

        def images(self, indices):
            return None, self.center[indices]

    photos = Photos()
    counts = np.bincount(distances(photos.hole, 16).ravel())[1:]
    by_ring = floor_by_ring(photos, np.arange(5), batch_size=2)
    assert by_ring @ counts == pytest.approx(units.bernoulli_floor(photos.center).mean())
