"""Whether a model's masks agree: the lower half of the hole given the upper one, in two ways.

    python benchmarks/mask_order.py CHECKPOINT ... --data FILE.h5 [--split test] [--limit N] [--json]

Together: the whole hole is unknown, and pixels come in raster order, so the lower half is scored given the upper one as
the causal stack saw it. In two goes: the upper half is known, and the border tower sees it. If the model's conditionals
were those of one distribution, both would be equal; the difference is in nats an image, paired, with its interval.
"""

import argparse
import json
import sys

import numpy as np
import torch

from inpaint import load
from inpaint.dataset import Photos
from inpaint.evaluation.statistics import mean_and_ci95
from inpaint.inference import evaluating
from inpaint.masks import seen

BATCH = 32


def lower_half(model, name: str, split: str, masks: str, indices: np.ndarray) -> np.ndarray:
    """Nats of the lower half of each image's hole under a mask: float64 (n,)."""
    photos, nats = Photos(name, split, masks=masks), []
    with evaluating(model):
        for start in range(0, len(indices), BATCH):
            part = indices[start : start + BATCH]
            border, center, known = seen(photos, part)
            texts = photos.first_captions(part) if model.uses_captions else None
            log_prob = model.log_prob(border, center, texts, known=known)
            nats.append(-log_prob[:, :, photos.hole[2] // 2 :].double().sum(dim=(1, 2, 3)))
    return torch.cat(nats).numpy()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--data", required=True, metavar="FILE.h5")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, help="the first N images only")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, too")
    args = parser.parse_args()
    count = len(Photos(args.data, args.split))
    indices = np.arange(min(count, args.limit or count))
    results = []
    for checkpoint in args.checkpoints:
        model = load(checkpoint)
        together, apart = (lower_half(model, args.data, args.split, masks, indices) for masks in ("box", "half"))
        gain = mean_and_ci95(together - apart)
        results.append({"checkpoint": checkpoint, "images": len(indices), "together": together.mean(), "less": gain})
        low, high = gain["ci95"] or (float("nan"),) * 2
        print(
            f"{checkpoint}: lower half given the upper one, together {together.mean():.1f} nats an image; "
            f"in two goes {gain['mean']:+.2f} less [{low:+.2f}, {high:+.2f}], {gain['mean'] / together.mean():+.2%}"
        )
    if args.json:
        print(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
