"""The first guess: a ridge regression from the border to the center, fitted in closed form before training begins.

A linear map learns in seconds, and exactly, what gradient descent on a convolutional net takes long to find: how each
part of the center follows the colours around it on average. The network then starts from that guess, which fills the
hole of its input and centers its likelihood, and learns what a linear map cannot say. The regression reads the border
averaged over cells of 4 x 4 pixels and the two rings of pixels next to the hole, and gives the center averaged over
cells of 2 x 2; the penalty is the one that does best on a tenth of the photos left out [1].

[1] Hoerl and Kennard 1970, Ridge regression: biased estimation for nonorthogonal problems, Technometrics 12
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 4  # pixels a side of the cells that the border is averaged over
RINGS = 2  # rings of pixels around the hole that are read one by one
PENALTIES = tuple(10.0 ** (k / 2) for k in range(-8, 3))  # times the number of photos


class BorderRegression(nn.Module):
    """x (B, >= 3, H, W) float32, RGB in -1..1 and zero in the hole -> guess (B, 3, h, w) float32 in -1..1.

    Before `fit` the guess is mid-grey, zero. The weights are buffers: fitted, saved and loaded, never trained.
    """

    def __init__(self, hole: tuple[int, int, int, int], image_size: int):
        super().__init__()
        top, left, h, w = hole
        self.hole, self.image_size = hole, image_size
        known = torch.ones(1, 1, image_size, image_size)
        known[:, :, top : top + h, left : left + w] = 0
        near = F.max_pool2d(1 - known, 2 * RINGS + 1, stride=1, padding=RINGS) * known  # (1, 1, H, W)
        share = self._cells(known)  # (1, 1, H / 4, W / 4): how much of a cell is known
        self.register_buffer("ring", near.flatten().nonzero()[:, 0], persistent=False)
        self.register_buffer("cells", share.flatten().nonzero()[:, 0], persistent=False)
        self.register_buffer("share", share.flatten()[self.cells], persistent=False)
        inputs = 3 * (len(self.ring) + len(self.cells)) + 1
        self.coarse = (-(-h // 2), -(-w // 2))
        self.register_buffer("weight", torch.zeros(inputs, 3 * self.coarse[0] * self.coarse[1]))

    @staticmethod
    def _cells(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, CELL, ceil_mode=True)

    def _features(self, x: Tensor) -> Tensor:
        """(B, F): means of the cells' known pixels, the rings' pixels, and a one."""
        rgb = x[:, :3]
        cells = self._cells(rgb).flatten(2)[:, :, self.cells] / self.share  # (B, 3, cells)
        ring = rgb.flatten(2)[:, :, self.ring]  # (B, 3, ring)
        return torch.cat([cells.flatten(1), ring.flatten(1), torch.ones_like(x[:, 0, 0, :1])], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            coarse = (self._features(x.float()) @ self.weight).reshape(-1, 3, *self.coarse)  # (B, 3, h / 2, w / 2)
            guess = F.interpolate(coarse, size=self.hole[2:], mode="bilinear", align_corners=False)
            return guess.clamp(-1, 1)  # (B, 3, h, w)

    @torch.no_grad()
    def fit(self, photos: Iterable[Tensor]) -> float:
        """Fit the weights to whole photos.

        Args:
          photos: batches uint8 (B, 3, H, W) on the CPU, at least ten photos in all.

        Returns: the penalty that did best, as a multiple of the number of photos.
        """
        top, left, h, w = self.hole
        inputs, outputs = self.weight.shape
        gram = torch.zeros(2, inputs, inputs, dtype=torch.float64)  # of the photos fitted to, and of those left out
        cross = torch.zeros(2, inputs, outputs, dtype=torch.float64)
        count = 0
        for batch in photos:
            x = batch.float() / 127.5 - 1
            center = x[:, :, top : top + h, left : left + w].clone()
            x[:, :, top : top + h, left : left + w] = 0
            target = F.interpolate(center, size=self.coarse, mode="area").flatten(1)  # (B, outputs)
            features = self._features(x)  # (B, inputs)
            left_out = torch.arange(count, count + len(batch)) % 10 == 9
            for part, rows in enumerate((~left_out, left_out)):
                gram[part] += (features[rows].T @ features[rows]).double()
                cross[part] += (features[rows].T @ target[rows]).double()
            count += len(batch)
        penalised = torch.ones(inputs, dtype=torch.float64)
        penalised[-1] = 0  # not the constant
        errors = {}
        for penalty in PENALTIES:
            weight = _solve(gram[0], cross[0], 0.9 * count * penalty * penalised)
            # the squared error on the photos left out, less a constant
            errors[penalty] = float((weight * (gram[1] @ weight)).sum() - 2 * (weight * cross[1]).sum())
        best = min(errors, key=errors.get)
        self.weight.copy_(_solve(gram.sum(0), cross.sum(0), count * best * penalised))
        return best


def _solve(gram: Tensor, cross: Tensor, penalty: Tensor) -> Tensor:
    """The minimiser of |A w - y|^2 + penalty |w|^2 from A^T A and A^T y."""
    ridge = gram + torch.diag(penalty + 1e-9 * gram.diagonal().mean() + 1e-9)
    return torch.linalg.solve(ridge, cross)
