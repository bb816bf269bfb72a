"""The first guess: a ridge regression from the border to the center, fitted in closed form before training begins.

A linear map learns in seconds, and exactly, what gradient descent on a convolutional net takes long to find: how each
part of the center follows the colours around it on average. The guess fills the hole of the network's input in place
of zeros; the mask still tells it from what is known. The regression reads the border averaged over cells of 4 x 4
pixels and the two rings of pixels next to the hole, and gives the center averaged over cells of 2 x 2. A photo that
was fitted to leaks into its own guess, and a network would read the leak; so the training photos are dealt into
folds, each of which gets its guesses from a fit to the others [2]. The penalty is the one that does best on the folds
left out [1].

[1] Hoerl and Kennard 1970, Ridge regression: biased estimation for nonorthogonal problems, Technometrics 12
[2] Wolpert 1992, Stacked generalization, Neural Networks 5
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 4  # pixels a side of the cells that the border is averaged over
RINGS = 2  # rings of pixels around the hole that are read one by one
FOLDS = 4
PENALTIES = tuple(10.0 ** (k / 2) for k in range(-6, 2))  # times the number of photos


class BorderRegression(nn.Module):
    """x (B, >= 3, H, W) float32, RGB in -1..1 and zero in the hole -> guess (B, 3, h, w) float32 in -1..1.

    Before `fit` the guess is mid-grey, zero. The weights are buffers: fitted, saved and loaded, never trained; those of
    the folds are needed in training alone and not saved.
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
        outputs = 3 * self.coarse[0] * self.coarse[1]
        self.register_buffer("weight", torch.zeros(inputs, outputs))
        self.register_buffer("fold_weight", torch.zeros(0, inputs, outputs), persistent=False)

    @staticmethod
    def _cells(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, CELL, ceil_mode=True)

    def _features(self, x: Tensor) -> Tensor:
        """(B, F): means of the cells' known pixels, the rings' pixels, and a one."""
        rgb = x[:, :3]
        cells = self._cells(rgb).flatten(2)[:, :, self.cells] / self.share  # (B, 3, cells)
        ring = rgb.flatten(2)[:, :, self.ring]  # (B, 3, ring)
        return torch.cat([cells.flatten(1), ring.flatten(1), torch.ones_like(x[:, 0, 0, :1])], dim=1)

    def forward(self, x: Tensor, photo: Tensor | None = None) -> Tensor:
        """With `photo` int64 (B,), numbers of photos that were fitted to, each guess is of a fit without its own."""
        with torch.autocast(x.device.type, enabled=False):
            features = self._features(x.float())  # (B, F)
            if photo is None or len(self.fold_weight) == 0:
                coarse = features @ self.weight
            else:
                coarse = torch.empty(len(x), self.weight.shape[1], device=x.device)
                for fold, weight in enumerate(self.fold_weight):
                    coarse[photo % FOLDS == fold] = features[photo % FOLDS == fold] @ weight
            coarse = coarse.reshape(-1, 3, *self.coarse)  # (B, 3, h / 2, w / 2)
            guess = F.interpolate(coarse, size=self.hole[2:], mode="bilinear", align_corners=False)
            return guess.clamp(-1, 1)  # (B, 3, h, w)

    @torch.no_grad()
    def fit(self, photos: Iterable[tuple[Tensor, Tensor]]) -> float:
        """Fit the weights to whole photos.

        Args:
          photos: batches of images uint8 (B, 3, H, W) and their numbers int64 (B,), on the CPU; a photo and its mirror
            image have the same number.

        Returns: the penalty that did best, as a multiple of the number of images.
        """
        top, left, h, w = self.hole
        inputs, outputs = self.weight.shape
        gram = torch.zeros(FOLDS, inputs, inputs, dtype=torch.float64)
        cross = torch.zeros(FOLDS, inputs, outputs, dtype=torch.float64)
        count = 0
        for images, photo in photos:
            x = images.float() / 127.5 - 1
            center = x[:, :, top : top + h, left : left + w].clone()
            x[:, :, top : top + h, left : left + w] = 0
            target = F.interpolate(center, size=self.coarse, mode="area").flatten(1)  # (B, outputs)
            features = self._features(x)  # (B, inputs)
            for fold in range(FOLDS):
                rows = photo % FOLDS == fold
                gram[fold] += (features[rows].T @ features[rows]).double()
                cross[fold] += (features[rows].T @ target[rows]).double()
            count += len(images)
        penalised = count * torch.ones(inputs, dtype=torch.float64)
        penalised[-1] = 0  # not the constant
        all_gram, all_cross = gram.sum(0), cross.sum(0)
        best, least = PENALTIES[0], float("inf")
        for penalty in PENALTIES:
            weights, error = [], 0.0
            for fold in range(FOLDS):
                weight = _solve(all_gram - gram[fold], all_cross - cross[fold], penalty * penalised)
                # the squared error on the fold left out, less a constant
                error += float((weight * (gram[fold] @ weight - 2 * cross[fold])).sum())
                weights.append(weight.float())
            if error < least:
                best, least = penalty, error
                self.fold_weight = torch.stack(weights).to(self.weight)
        self.weight.copy_(_solve(all_gram, all_cross, best * penalised))
        return best


def _solve(gram: Tensor, cross: Tensor, penalty: Tensor) -> Tensor:
    """The minimiser of |A w - y|^2 + penalty |w|^2 from A^T A and A^T y."""
    ridge = gram + torch.diag(penalty + 1e-9 * gram.diagonal().mean() + 1e-9)
    return torch.linalg.solve(ridge, cross)
