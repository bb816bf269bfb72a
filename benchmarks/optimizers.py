"""What Muon is worth: `contour` with captions trained with it and with AdamW alone, from the same weights and batches.

    python benchmarks/optimizers.py --data FILE.h5 [--steps 600] [--val 500] [--lr 1.5e-3]

Prints nats per image on val at every sixth of the way, the steps that Muon needs to come as far as AdamW comes at all,
and the time of a step (medians; the two run in turns, a sixth at a time).
"""

import argparse
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from data_prep.errors import run_main
from inpaint.config import Config
from inpaint.evaluation.scoring import score
from inpaint.training.learner import learning_rate
from inpaint.training.trainer import Trainer


class Side:
    """One of the two runs."""

    def __init__(self, name, options, folder):
        config = Config(
            data=options.data,
            out=str(folder / name),
            optimizer=name,
            lr=options.lr,
            use_captions=True,
            steps=options.steps,
        )
        self.trainer = Trainer(config, torch.device("cpu"))
        self.nats, self.seconds = [], []

    def go_on(self, first, last, images):
        """Steps `first` to `last`, then a score of the averaged weights."""
        trainer = self.trainer
        for step in range(first, last):
            batch = trainer.batches[step]
            began = time.perf_counter()
            trainer.learner.step(batch, step, learning_rate(trainer.config, step, step / trainer.config.steps))
            self.seconds.append(time.perf_counter() - began)
        indices = np.arange(min(images, len(trainer.val)))
        nats, _ = score(trainer.learner.averaged, trainer.val, indices, trainer.val.first_captions(indices))
        self.nats.append(float(nats.mean()))


def first_crossing(steps, nats, goal):
    """The step at which nats first fall to `goal`, between two scores; None if they never do, or did by the first."""
    for (first, above), (last, below) in pairwise(zip(steps, nats, strict=True)):
        if above > goal >= below:
            return first + (last - first) * (above - goal) / (above - below)
    return None


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="FILE.h5", help="photos with a val split")
    parser.add_argument("--steps", type=int, default=600, help="of each side (default: %(default)s)")
    parser.add_argument("--val", type=int, default=500, help="images scored (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=1.5e-3, help="peak learning rate (default: %(default)s)")
    options = parser.parse_args(argv)
    marks = [options.steps * sixth // 6 for sixth in range(7)]
    with tempfile.TemporaryDirectory() as folder:
        sides = {name: Side(name, options, Path(folder)) for name in ("adamw", "muon")}
        for first, last in zip(marks, marks[1:], strict=False):
            for side in sides.values():
                side.go_on(first, last, options.val)
            print(f"step {last}: " + ", ".join(f"{name} {side.nats[-1]:.2f}" for name, side in sides.items()))
    adamw, muon = sides["adamw"], sides["muon"]
    reached = first_crossing(marks[1:], muon.nats, adamw.nats[-1])
    goal = f"steps to AdamW's {adamw.nats[-1]:.2f}: {options.steps} and"
    told = f"{reached:.0f}, {options.steps / reached:.2f} times" if reached else "not reached, or by the first score"
    print(f"{goal} {told}")
    print(f"time of a step: {statistics.median(muon.seconds) / statistics.median(adamw.seconds):.2f} times AdamW's")


if __name__ == "__main__":
    run_main(main)
