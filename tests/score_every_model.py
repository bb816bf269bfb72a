"""Score the val split of a file with every kind of model, and save nats per image by kind: run alone or by torchrun.

python tests/score_every_model.py FILE.h5 OUT.npz [--batch-size N] [--backwards]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402
from every_model import KINDS, name_of, shaken_model  # noqa: E402

from inpaint.dataset import Photos  # noqa: E402
from inpaint.evaluation.scoring import score  # noqa: E402
from inpaint.processes import process_group  # noqa: E402

SCORED = 7  # images: odd, so that two processes share them unevenly, in batches of 3 and 1, and of 3


def nats_of_every_model(path, batch_size=64, backwards=False):
    """Name of each kind -> float64 (SCORED,), nats of the first so many images, in the file's order."""
    photos = Photos(path, "val")
    order = np.arange(SCORED)[:: -1 if backwards else 1]
    found = {}
    for kind in KINDS:
        nats, _ = score(shaken_model(kind), photos, order, photos.first_captions(order), batch_size)
        found[name_of(kind)] = nats[np.argsort(order)]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--backwards", action="store_true")
    options = parser.parse_args()
    with process_group() as rank:
        found = nats_of_every_model(options.data, options.batch_size, options.backwards)
        if rank == 0:
            np.savez(options.out, **found)
