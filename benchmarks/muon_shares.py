"""What sharing Muon's products among processes saves: the optimizer's step so, and with all of them in each process.

    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 benchmarks/muon_shares.py [--size s] [--rounds 15]

Processor time of a step in the process that takes longer, the two in turns, the median over the rounds and their ratio.
"""

import argparse
import statistics
import time

import torch
import torch.distributed as dist

from data_prep.errors import run_main
from inpaint.processes import process_group
from inpaint.training import optimizer
from models import build


def seconds(step):
    """Processor time of a step, the most of all processes."""
    dist.barrier()
    began = time.process_time()
    step()
    taken = torch.tensor(time.process_time() - began)
    dist.all_reduce(taken, dist.ReduceOp.MAX)
    return taken.item()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="s", help="of pixelcnn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="steps of each kind (default: %(default)s)")
    options = parser.parse_args(argv)
    with process_group() as rank:
        model = build("pixelcnn", "logistic-mixture", options.size)
        learning = optimizer.Optimizer(model, 1e-3, 0.05, 0.99)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        shared, times = optimizer.rank_and_world, {"each all": [], "shared": []}
        for _ in range(options.rounds):
            for name, share in (("each all", lambda: (0, 1)), ("shared", shared)):
                optimizer.rank_and_world = share
                times[name].append(seconds(learning.step))
        if rank == 0:
            medians = {name: statistics.median(found) for name, found in times.items()}
            for name, median in medians.items():
                print(f"{name:10}{1000 * median:8.1f} ms a step")
            ratio = statistics.median(b / a for a, b in zip(*times.values(), strict=True))
            print(f"shared / each all: {ratio:.2f} with {dist.get_world_size()} processes")


if __name__ == "__main__":
    run_main(main)
