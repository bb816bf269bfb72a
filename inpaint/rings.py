"""Where in the hole the nats are: by pixel, and by ring, the pixels at one distance from the border.

A ring's distance is the number of pixels to the nearest known one, diagonals counted as one step: 1 for the hole's
outermost pixels. Sides of the hole that lie on the image's edge have no border, and do not count.
"""

import numpy as np
from scipy.ndimage import distance_transform_cdt

from inpaint import units
from inpaint.scoring import all_gathered, gather, my_share


def distances(hole, image_size):
    """How far each pixel of the hole is from the border.

    Args:
      hole: (top, left, h, w).
      image_size: of the square image, pixels.

    Returns:
      int64 (h, w), 1 for pixels that touch the border; all 0 where the hole is the whole image.
    """
    top, left, h, w = hole
    inside = np.zeros((image_size, image_size), bool)
    inside[top : top + h, left : left + w] = True
    if inside.all():
        return np.zeros((h, w), np.int64)
    steps = distance_transform_cdt(inside, "chessboard")
    return steps[top : top + h, left : left + w].astype(np.int64)


def ring_means(pixels, hole, image_size):
    """The mean over each ring of figures of pixels: float64 (..., h, w) -> (..., R), R the largest distance.

    R is 0 where the hole is the whole image.
    """
    distance = distances(hole, image_size)
    rings = np.arange(1, distance.max() + 1)
    members = (distance.reshape(-1, 1) == rings).astype(np.float64)  # (h w, R)
    return np.reshape(pixels, (*np.shape(pixels)[:-2], -1)) @ (members / members.sum(axis=0))


class PixelNats:
    """Collects nats by pixel and by ring while photos are scored: `add` is what `scoring.score` takes as `observe`.

    Args:
      hole, image_size: of the photos, in pixels.
      n: how many images all processes score together.
    """

    def __init__(self, hole, image_size, n):
        self.hole, self.image_size, self.n = hole, image_size, n
        self._sum = np.zeros(hole[2:])
        self._rings = np.zeros((n, distances(hole, image_size).max()))

    def add(self, positions, log_prob):
        """Take in a batch: the positions (b,) of its images among the n, and log_prob (b, 3, h, w)."""
        nats = -log_prob.double().sum(dim=1).cpu().numpy()  # (b, h, w)
        with np.errstate(invalid="ignore"):  # infinite nats, which `scoring.check_finite` refuses
            self._sum += nats.sum(axis=0)
            self._rings[positions] = ring_means(nats, self.hole, self.image_size)

    def gathered(self):
        """What all processes have taken in: nats per pixel, float64 (h, w) mean over images, and (n, R) of each."""
        mine = my_share(self.n)
        return sum(all_gathered(self._sum)) / self.n, gather(mine, self._rings[mine], self.n)


def floor_by_ring(photos, indices, batch_size=512):
    """The Bernoulli cross-entropy's floor on each ring, nats per pixel: float64 (R,), the mean over the images."""
    total = np.zeros(photos.hole[2:])
    for start in range(0, len(indices), batch_size):
        _, center = photos.images(indices[start : start + batch_size])
        total += units.bernoulli_floor_of_pixels(center[:, : photos.channels]).sum(axis=0)
    return ring_means(total / len(indices), photos.hole, photos.image_size)
