"""What keeping freed memory saves: training steps beside those of a process with malloc's defaults.

    OMP_NUM_THREADS=1 python benchmarks/allocator.py [--recipe NAME] [--data FILE.h5] [--rounds 9] [--steps 4]

Two processes take turns on the same batches, from the same weights. Printed are the steps in a second of processor time
of both, the median of the ratios with the least and the most, each one's memory, and whether the weights are equal in
the end.
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time

import torch

from data_prep.errors import run_main
from inpaint.allocator import keep_freed_memory
from inpaint.config import Config, read_recipe
from inpaint.training.trainer import Trainer

SIDES = {"malloc's defaults": False, "kept": True}


def train(pipe, keep: bool, recipe: str, data: str, steps: int) -> None:
    """Whenever `pipe` says go: `steps` training steps, and send (seconds, MiB at most, sum of the weights)."""
    if keep and not keep_freed_memory():
        raise SystemExit("error: the allocator cannot be asked here")
    with tempfile.TemporaryDirectory() as folder:
        options = {**read_recipe(recipe), "epochs": None, "minutes": None, "steps": 1000}
        trainer = Trainer(Config(data=data, out=folder, **options), torch.device("cpu"))
        step = 0
        while pipe.recv():
            batches = [trainer.batches[step + i] for i in range(steps)]
            began = time.process_time()
            for batch in batches:
                trainer.learner.step(batch, step, 1e-3)
                step += 1
            taken = time.process_time() - began
            weights = sum(p.double().sum().item() for p in trainer.learner.model.parameters())
            pipe.send((taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, weights))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="contour", help="whose options (default: %(default)s)")
    parser.add_argument("--data", default="demo/demo.h5", help="any file of 64 x 64 photos (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="training steps a round and side (default: %(default)s)")
    options = parser.parse_args(argv)
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for name, keep in SIDES.items():
        pipes[name], theirs = context.Pipe()
        words = (theirs, keep, options.recipe, options.data, options.steps)
        context.Process(target=train, args=words, daemon=True).start()
        theirs.close()
    rates = {name: [] for name in SIDES}
    last = {}
    for turn in range(options.rounds + 1):
        for name, pipe in pipes.items():
            pipe.send(True)
            last[name] = pipe.recv()
            if turn:  # the first warms up
                rates[name].append(options.steps / last[name][0])
    for pipe in pipes.values():
        pipe.send(False)
    for name, found in rates.items():
        print(f"{name:20}{statistics.median(found):8.2f} steps/s, {last[name][1]:6,.0f} MiB")
    before, after = rates.values()
    ratios = [kept / default for default, kept in zip(before, after, strict=True)]
    print(f"{options.recipe}: {statistics.median(ratios):.2f} times as fast, {min(ratios):.2f} to {max(ratios):.2f}")
    print(f"the weights are {'equal' if len({weights for *_, weights in last.values()}) == 1 else 'NOT equal'}")


if __name__ == "__main__":
    run_main(main)
