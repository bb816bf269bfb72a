"""What a model gains by several orders of the pixels, mixed: mirrored by row or by image, upside down, transposed.

    python benchmarks/orders.py [CHECKPOINT] --data FILE.h5 [--split val] [--limit N] [--all] [--json]

A photo that is mirrored, turned upside down or transposed is scored by the same model, and the mean of probabilities is
exact whatever it is taken over: rows, for the two directions (models/directions.py), or whole images. Without --all the
two directions alone. Differences are of bits/dim, paired, with their intervals; times are seconds of this process's CPU
as a multiple of those of one direction.
"""

import argparse
import json
import math
import sys
import time

import numpy as np
import torch

from inpaint import load
from inpaint.dataset import Photos
from inpaint.evaluation.statistics import mean_and_ci95
from inpaint.inference import evaluating
from inpaint.units import bits_per_dim
from models.directions import TwoDirections, mixed

BATCH = 25
ORIENTATIONS = {
    "as it is": lambda x: x,
    "upside down": lambda x: x.flip(2),
    "transposed": lambda x: x.transpose(2, 3).contiguous(),
    "transposed, upside down": lambda x: x.transpose(2, 3).flip(2).contiguous(),
}


class Scores:
    """Nats of each image, summed over its center, by a name, and the CPU seconds that they took."""

    def __init__(self):
        self.nats, self.seconds = {}, {}

    def add(self, name, log_prob, seconds):
        self.nats.setdefault(name, []).append(-log_prob.double().sum(dim=(1, 2, 3)))
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def mix(self, name, *parts):
        """The mean of whole images' probabilities, under a new name."""
        nats = torch.stack([torch.cat(self.nats[part]) for part in parts])
        self.nats[name] = [math.log(len(parts)) - torch.logsumexp(-nats, dim=0)]
        self.seconds[name] = sum(self.seconds[part] for part in parts)


def score(model, photos, count: int, orientations: list[str]) -> Scores:
    """Score in one direction, in the other and in both by row, for each orientation."""
    TwoDirections(model)  # raises ValueError for a model that cannot
    scores = Scores()
    with evaluating(model):
        first = np.arange(min(BATCH, count))  # once more, untimed: a first pass is slower
        model.log_prob(*photos.images(first), photos.first_captions(first) if model.uses_captions else None)
        for start in range(0, count, BATCH):
            indices = np.arange(start, min(start + BATCH, count))
            texts = photos.first_captions(indices) if model.uses_captions else None
            for name in orientations:
                border, center = map(ORIENTATIONS[name], photos.images(indices))
                began = time.process_time()
                one = model.log_prob(border, center, texts)
                middle = time.process_time()
                other = model.log_prob(border.flip(3), center.flip(3), texts).flip(3)
                both = mixed(one, other)
                end = time.process_time()
                scores.add(name, one, middle - began)
                scores.add(f"{name}, mirrored", other, end - middle)
                scores.add(f"{name}, both by row", both, end - began)
    return scores


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", metavar="CHECKPOINT", help="default: the package's weights")
    parser.add_argument("--data", required=True, metavar="FILE.h5")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, help="the first N images only")
    parser.add_argument("--all", action="store_true", help="upside down and transposed, too")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, too")
    args = parser.parse_args()
    model, photos = load(args.checkpoint).eval() if args.checkpoint else load().eval(), Photos(args.data, args.split)
    count = min(len(photos), args.limit or len(photos))
    names = list(ORIENTATIONS)[: None if args.all else 1]
    scores = score(model, photos, count, names)
    scores.mix("as it is, both by image", "as it is", "as it is, mirrored")
    if args.all:
        rows = [f"{name}, both by row" for name in names]
        scores.mix("as it is and upside down, by row, then by image", *rows[:2])
        scores.mix("as it is and transposed, by row, then by image", rows[0], rows[2])
        scores.mix("all four, by row, then by image", *rows)
    results = []
    bits = {name: bits_per_dim(torch.cat(nats), photos.hole).numpy() for name, nats in scores.nats.items()}
    for name, mine in bits.items():
        gain, times = mean_and_ci95(bits["as it is"] - mine), scores.seconds[name] / scores.seconds["as it is"]
        low, high = gain["ci95"] or (float("nan"),) * 2
        results.append({"order": name, "images": count, "bits_per_dim": mine.mean(), "gain": gain, "times": times})
        print(f"{name:<50} {mine.mean():.4f}, gain {gain['mean']:+.4f} [{low:+.4f}, {high:+.4f}], {times:.2f} x")
    if args.json:
        print(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
