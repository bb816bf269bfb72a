"""What each decoder's sizes need: parameters, and memory of a training step.

    python benchmarks/sizes.py [--decoders gated ...] [--sizes s m] [--batch-size 4] [--precision bf16]

Each row is a process of its own: a model with logistic mixture and captions, two training steps on noise. Memory is
the process's peak above what it held before there was a model.
"""

import argparse
import resource
import subprocess
import sys

import torch

from models import DECODERS, build
from models.border_tower import UNET_SIZES

STEPS = 2  # the optimizer has its state from the first on


def held() -> float:
    """The peak of this process's memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(decoder: str, size: str, batch_size: int, precision: str) -> None:
    generator = torch.Generator().manual_seed(0)
    border = torch.randint(0, 256, (batch_size, 3, 64, 64), dtype=torch.uint8, generator=generator)
    center = torch.randint(0, 256, (batch_size, 3, 32, 32), dtype=torch.uint8, generator=generator)
    before = held()
    model = build(decoder, "logistic-mixture", size)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(STEPS):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            log_prob = model(border, center, ["a dog"] * batch_size)
        (-log_prob.sum() / log_prob.numel()).backward()
        optimizer.step()
        optimizer.zero_grad()
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    print(f"| `{decoder}` | {size} | {count:.1f} M | {(held() - before) / 1024:.1f} GiB |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decoders", nargs="+", choices=DECODERS, default=DECODERS, help="default: all")
    parser.add_argument("--sizes", nargs="+", choices=tuple(UNET_SIZES), default=["s", "m", "l"], help="default: s m l")
    parser.add_argument("--batch-size", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16", help="default: %(default)s")
    args = parser.parse_args()
    rows = [(decoder, size) for decoder in args.decoders for size in args.sizes]
    if len(rows) == 1:
        measure(*rows[0], args.batch_size, args.precision)
        return 0
    print(f"batch size {args.batch_size}, {args.precision}\n", flush=True)
    print("| decoder | size | parameters | memory |\n| --- | --- | --- | --- |", flush=True)
    for decoder, size in rows:
        options = ["--batch-size", str(args.batch_size), "--precision", args.precision]
        subprocess.run([sys.executable, __file__, "--decoders", decoder, "--sizes", size, *options], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
