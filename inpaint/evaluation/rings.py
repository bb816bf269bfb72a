"""Nats by pixel of the hole, and by ring: the pixels at one distance from the border.

The distance is that to the nearest pixel outside the hole, diagonals counted as one step: 1 for the hole's outermost
pixels. Sides of the hole on the image's edge have no border and do not count. Under a mask the rings are the same, and
their unknown pixels alone count.
"""

import numpy as np
from scipy.ndimage import distance_transform_cdt

from data_prep.hole import channels_first
from inpaint import units
from inpaint.masks import unknown_of
from inpaint.shares import all_gathered, gather, my_share


def distances(hole, image_size):
    """Distance of each pixel of the hole to the border.

    Args:
      hole: (top, left, h, w).
      image_size: of the square image, pixels.

    Returns:
      int64 (h, w), 1 for pixels that touch the border; all 0 if the hole is the whole image.
    """
    inside = np.zeros((image_size, image_size), bool)
    inside[channels_first(hole)] = True
    if inside.all():
        return np.zeros(hole[2:], np.int64)
    return distance_transform_cdt(inside, "chessboard")[channels_first(hole)].astype(np.int64)


def ring_means(pixels, hole, image_size):
    """Mean of each ring: float64 (..., h, w) -> (..., R), R the largest distance; 0 if the hole is the whole image."""
    members = _members(hole, image_size)
    return np.reshape(pixels, (*np.shape(pixels)[:-2], -1)) @ (members / members.sum(axis=0))


def ring_sums(pixels, hole, image_size):
    """Sum over each ring: (..., h, w) -> float64 (..., R), R as in `ring_means`."""
    return np.reshape(pixels, (*np.shape(pixels)[:-2], -1)) @ _members(hole, image_size)


def _members(hole, image_size):
    """1 for a ring's pixels: float64 (h w, R)."""
    distance = distances(hole, image_size)
    return (distance.reshape(-1, 1) == np.arange(1, distance.max() + 1)).astype(np.float64)


class PixelNats:
    """Collects nats by pixel and by ring during scoring: pass `add` to `scoring.score` as `observe`.

    Args:
      hole, image_size: of the photos, in pixels.
      images: int64 (m,), the image of each scoring over all processes, 0 to n - 1; several of one image are averaged.
      unknown: bool (n, h, w), the images' unknown pixels, which alone count; None for all of the hole.
    """

    def __init__(self, hole, image_size, images, unknown=None):
        self.hole, self.image_size, self.images, self.unknown = hole, image_size, images, unknown
        self._weights = 1 / np.bincount(images)[images]  # (m,)
        self._sum = np.zeros(hole[2:])
        self._rings = np.zeros((len(images), distances(hole, image_size).max()))

    def add(self, positions, log_prob):
        """Add a batch: positions (b,) among the m, and log_prob (b, 3, h, w)."""
        nats = -log_prob.cpu().double().sum(dim=1).numpy()  # (b, h, w)
        with np.errstate(invalid="ignore"):  # infinite nats, which `scoring.check_finite` refuses
            self._sum += (nats * self._weights[positions, None, None]).sum(axis=0)
            self._rings[positions] = self._by_ring(nats, self.images[positions])

    def _by_ring(self, nats, images):
        """Nats per pixel: float64 (b, h, w) of some images -> (b, R)."""
        if self.unknown is None:
            return ring_means(nats, self.hole, self.image_size)
        counts = ring_sums(self.unknown[images], self.hole, self.image_size)
        return ring_sums(nats, self.hole, self.image_size) / np.where(counts, counts, np.nan)

    def gathered(self):
        """Over all processes: nats per pixel, float64 (h, w), mean over the images in which it is unknown; and by ring,
        (n, R), over an image's unknown pixels. NaN where there are none."""
        m, n = len(self.images), self.images.max() + 1
        mine = my_share(m)
        rings = np.zeros((n, self._rings.shape[1]))
        np.add.at(rings, self.images, gather(mine, self._rings[mine], m) * self._weights[:, None])
        counts = n if self.unknown is None else self.unknown.sum(axis=0)
        with np.errstate(invalid="ignore"):  # 0 / 0
            return sum(all_gathered(self._sum)) / counts, rings


def floor_by_ring(photos, indices, batch_size=512):
    """The Bernoulli cross-entropy's floor on each ring, nats per unknown pixel: float64 (R,), over all the images."""
    total, counts = np.zeros(photos.hole[2:]), np.zeros(photos.hole[2:])
    for start in range(0, len(indices), batch_size):
        part = indices[start : start + batch_size]
        _, center = photos.images(part)
        floor, unknown = units.bernoulli_floor_of_pixels(center[:, : photos.channels]), unknown_of(photos, part)
        total += (floor if unknown is None else floor * unknown).sum(axis=0)
        counts += len(part) if unknown is None else unknown.sum(axis=0)
    if photos.masks == "box":
        return ring_means(total / len(indices), photos.hole, photos.image_size)
    total, counts = (ring_sums(pixels, photos.hole, photos.image_size) for pixels in (total, counts))
    return total / np.where(counts, counts, np.nan)
