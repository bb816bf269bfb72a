"""Nats by pixel of the hole, and by ring: the pixels at one distance from the border.

The distance is that to the nearest known pixel, diagonals counted as one step: 1 for the hole's outermost pixels. Sides
of the hole on the image's edge have no border and do not count.
"""

import numpy as np
from scipy.ndimage import distance_transform_cdt

from data_prep.hole import channels_first
from inpaint import units
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
    distance = distances(hole, image_size)
    rings = np.arange(1, distance.max() + 1)
    members = (distance.reshape(-1, 1) == rings).astype(np.float64)  # (h w, R)
    return np.reshape(pixels, (*np.shape(pixels)[:-2], -1)) @ (members / members.sum(axis=0))


class PixelNats:
    """Collects nats by pixel and by ring during scoring: pass `add` to `scoring.score` as `observe`.

    Args:
      hole, image_size: of the photos, in pixels.
      images: int64 (m,), the image of each scoring over all processes, 0 to n - 1; several of one image are averaged.
    """

    def __init__(self, hole, image_size, images):
        self.hole, self.image_size, self.images = hole, image_size, images
        self._weights = 1 / np.bincount(images)[images]  # (m,)
        self._sum = np.zeros(hole[2:])
        self._rings = np.zeros((len(images), distances(hole, image_size).max()))

    def add(self, positions, log_prob):
        """Add a batch: positions (b,) among the m, and log_prob (b, 3, h, w)."""
        nats = -log_prob.cpu().double().sum(dim=1).numpy()  # (b, h, w)
        with np.errstate(invalid="ignore"):  # infinite nats, which `scoring.check_finite` refuses
            self._sum += (nats * self._weights[positions, None, None]).sum(axis=0)
            self._rings[positions] = ring_means(nats, self.hole, self.image_size)

    def gathered(self):
        """Over all processes: nats per pixel, float64 (h, w), mean over images; and by ring, (n, R)."""
        m, n = len(self.images), self.images.max() + 1
        mine = my_share(m)
        rings = np.zeros((n, self._rings.shape[1]))
        np.add.at(rings, self.images, gather(mine, self._rings[mine], m) * self._weights[:, None])
        return sum(all_gathered(self._sum)) / n, rings


def floor_by_ring(photos, indices, batch_size=512):
    """The Bernoulli cross-entropy's floor on each ring, nats per pixel: float64 (R,), the mean over the images."""
    total = np.zeros(photos.hole[2:])
    for start in range(0, len(indices), batch_size):
        _, center = photos.images(indices[start : start + batch_size])
        total += units.bernoulli_floor_of_pixels(center[:, : photos.channels]).sum(axis=0)
    return ring_means(total / len(indices), photos.hole, photos.image_size)
