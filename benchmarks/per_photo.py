"""What a photo's own border could still teach the package's weights: two things fitted to each photo, and then scored.

    python benchmarks/per_photo.py [CHECKPOINT] --data FILE.h5 [--split val] [--limit N] [--rates 1e-5 3e-5] [--steps 5]

Both could be used with an exact likelihood, as functions of what is known. Adaptation: all weights but the caption
encoder's take steps of Adam on the photo's border, which six windows of the hole's size cover, the true hole unknown
in them; then the center is scored. Least squares: a linear predictor of red from 22 sub-pixels before it, fitted to
the border and to the rows of the center so far, from where one fitted to all these photos, centers too, stands: what
it explains is at most that. No model is trained with it: told is what share it explains of the squared errors, in
units of their own spread, that the model's mean leaves, and what that would be worth if errors were Gaussian.
Captions are not read.
"""

import argparse
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

from inpaint import load
from inpaint.dataset import Photos
from inpaint.evaluation.statistics import mean_and_ci95
from inpaint.inference import evaluating
from inpaint.units import bits_per_dim
from models.intensity import normalize

SIDE, HOLE = 64, slice(16, 48)  # the package's weights are for this size
WINDOWS = ((-16, 0), (-16, 32), (16, -16), (16, 48), (48, 0), (48, 32))  # top left corners; they cover the border once
NEAR = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2), (-2, 1), (-2, -1), (-1, -2))
OF_OTHERS = 6  # of NEAR that are read of green and blue
LOGISTIC = math.pi**2 / 3  # variance of a standard logistic


def tasks(photo):
    """The border in six windows: border, center and known as `log_prob` takes them. Off the photo, pixels of a window
    count as known, as the nearest of the photo's; others there are unknown."""
    margin = SIDE // 2 + 16
    spread = F.pad(photo[None].float(), (margin,) * 4, mode="replicate")[0].to(torch.uint8)
    on_photo = F.pad(torch.ones(SIDE, SIDE, dtype=torch.bool), (margin,) * 4)
    visible = on_photo.clone()
    visible[margin + 16 : margin + 48, margin + 16 : margin + 48] = False
    borders, masks = [], []
    for top, left in WINDOWS:
        cut = slice(top - 16 + margin, top + 48 + margin), slice(left - 16 + margin, left + 48 + margin)
        known = visible[cut].clone()
        known[HOLE, HOLE] = ~on_photo[cut][HOLE, HOLE]
        borders.append(spread[:, cut[0], cut[1]])
        masks.append(known[None])
    border = torch.stack(borders)
    return border, border[:, :, HOLE, HOLE].contiguous(), torch.stack(masks)


def adapted(model, border, center, rate, steps):
    """Nats of one photo's center after `steps` steps on its border; the weights are put back."""
    whole = border[0].clone()
    whole[:, HOLE, HOLE] = center[0]
    views, centers, known = tasks(whole)
    weights = [p for name, p in model.named_parameters() if not name.startswith("caption_encoder")]
    before = [p.detach().clone() for p in weights]
    optimizer = torch.optim.Adam(weights, lr=rate, betas=(0.9, 0.99))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = -model.log_prob(views, centers, [""] * len(views), known=known).sum() / (3 * SIDE * SIDE)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        nats = -model.log_prob(border, center, [""]).double().sum()
        for p, old in zip(weights, before, strict=True):
            p.copy_(old)
    return nats


@torch.no_grad()
def red_of(model, border, center):
    """The center's red, its mean and its variance before it is drawn, in -1..1: float64 (n, h, w) each."""
    parts = zip(border.split(50), center.split(50), strict=True)
    params = torch.cat([model.params(b, [""] * len(b), c) for b, c in parts])
    logits, means, log_scales, _ = model.likelihood._split(params.double())
    weights, means, scales = torch.softmax(logits, dim=1), means[:, 0], log_scales[:, 0].exp()
    mean = (weights * means).sum(1)
    variance = (weights * (means**2 + LOGISTIC * scales**2)).sum(1) - mean**2
    return normalize(center[:, 0], torch.float64), mean, variance


def features(photo):
    """What the least squares read at each pixel: (3, H, W) in -1..1 -> (23, H, W), the last of them 1."""
    near = F.pad(photo[None], (2, 2, 2, 2), mode="replicate")[0]
    places = [(c, i, j) for c in range(3) for i, j in NEAR[: OF_OTHERS if c else None]]
    read = [near[c, 2 + i : 2 + i + SIDE, 2 + j : 2 + j + SIDE] for c, i, j in places]
    return torch.stack([*read, torch.ones(SIDE, SIDE, dtype=torch.double)])


def least_squares(photos, strength=100.0):
    """Predictions of the center's red by the predictor of all photos and by each photo's own, row by row."""
    read = [features(photo) for photo in photos]
    flat = torch.cat([x.flatten(1) for x in read], dim=1)
    gram = flat @ flat.T
    common = torch.linalg.solve(gram, flat @ torch.cat([photo[0].flatten() for photo in photos]))
    whole, own = torch.stack([torch.tensordot(common, x[:, HOLE, HOLE], 1) for x in read]), []
    for photo, x in zip(photos, read, strict=True):
        rows = []
        for row in range(16, 48):
            use = torch.ones(SIDE, SIDE, dtype=torch.bool)
            use[row:50, 14:50] = False  # not known yet, or it reads what is not
            use[16:row, 16:48] = True
            known, left = x[:, use], photo[0][use] - common @ x[:, use]
            change = torch.linalg.solve(known @ known.T + strength * gram / flat.shape[1], known @ left)
            rows.append((common + change) @ x[:, row, HOLE])
        own.append(torch.stack(rows))
    return whole, torch.stack(own)


def explained(errors, *others):
    """The share of squared errors that the best sum of `others` takes away."""
    x, y = torch.stack([other.flatten() for other in others]), errors.flatten()
    return (torch.linalg.solve(x @ x.T, x @ y) @ (x @ y) / (y @ y)).item()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", metavar="CHECKPOINT", help="default: the package's weights")
    parser.add_argument("--data", required=True, metavar="FILE.h5")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=100, help="the first N images (default: %(default)s)")
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-5, 3e-5], help="of Adam (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="of Adam (default: %(default)s)")
    args = parser.parse_args()
    model = load(args.checkpoint).eval() if args.checkpoint else load().eval()
    photos = Photos(args.data, args.split)
    border, center = photos.images(np.arange(min(len(photos), args.limit)))
    with evaluating(model):
        red, mean, variance = red_of(model, border, center)
        plain = [-model.log_prob(b[None], c[None], [""]).double().sum() for b, c in zip(border, center, strict=True)]
    before = bits_per_dim(torch.stack(plain), photos.hole).numpy()
    print(f"{len(before)} photos, {before.mean():.4f} bits/dim")
    whole = border.clone()
    whole[:, :, HOLE, HOLE] = center
    spread = variance.sqrt()
    common, own = (((x - mean) / spread) for x in least_squares(normalize(whole, torch.float64)))
    share = explained((red - mean) / spread, common, own)
    worth = -0.5 * math.log2(1 - share)
    print(f"least squares: explains {share:.4%} of what is left of red, worth {worth:.5f} bits/dim")
    model.requires_grad_(True)
    for rate in args.rates:
        nats = [adapted(model, border[i : i + 1], center[i : i + 1], rate, args.steps) for i in range(len(before))]
        gain = mean_and_ci95(before - bits_per_dim(torch.stack(nats), photos.hole).numpy())
        low, high = gain["ci95"] or (float("nan"),) * 2
        what = f"adaptation, {args.steps} steps at {rate:g}"
        print(f"{what}: gain {gain['mean']:+.5f} [{low:+.5f}, {high:+.5f}]", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
