"""Muon's orthogonal updates in bfloat16, as torch.optim.Muon makes them, and in float32, as this project does where the
processor does not multiply bfloat16.

    python benchmarks/muon_precision.py [--decoders pixelcnn gated] [--size s] [--rounds 7]

A step of each optimizer in turn on the weights of a decoder, with random gradients; prints the ratio of the medians,
and whether this machine's processor multiplies bfloat16, which decides which of the two training takes.
"""

import argparse
import functools
import statistics
import sys
import time

import torch

from inpaint.processes import multiplies_bfloat16
from inpaint.training.optimizer import Muon, is_hidden
from models import DECODERS, build

SIDES = {"torch.optim.Muon": torch.optim.Muon, "float32": functools.partial(Muon, dtype=torch.float32)}


def hidden_matrices(decoder: str, size: str) -> list[torch.nn.Parameter]:
    """Copies of the weights that Muon steps, as matrices (out, in), with gradients of noise."""
    matrices = []
    for weight in build(decoder, "logistic-mixture", size).parameters():
        if is_hidden(weight):
            matrices.append(torch.nn.Parameter(weight.detach().flatten(1).clone()))
            matrices[-1].grad = torch.randn(matrices[-1].shape)
    return matrices


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decoders", nargs="+", choices=DECODERS, default=["pixelcnn", "gated"], metavar="NAME")
    parser.add_argument("--size", default="s", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    args = parser.parse_args()
    fast = multiplies_bfloat16(torch.device("cpu"))
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, bfloat16 in the processor: {fast}")
    for decoder in args.decoders:
        optimizers = {
            name: kind(hidden_matrices(decoder, args.size), lr=1e-3, adjust_lr_fn="match_rms_adamw")
            for name, kind in SIDES.items()
        }
        seconds = {name: [] for name in SIDES}
        for round in range(-1, args.rounds):  # the first to warm up
            for name, optimizer in optimizers.items():
                began = time.perf_counter()
                optimizer.step()
                if round >= 0:
                    seconds[name].append(time.perf_counter() - began)
        theirs, ours = (statistics.median(seconds[name]) for name in SIDES)
        print(f"{decoder} {args.size}: {theirs:.3f} s and {ours:.3f} s, {theirs / ours:.2f} times as fast in float32")
    return 0


if __name__ == "__main__":
    sys.exit(main())
