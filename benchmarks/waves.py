"""Drawing in waves beside drawing pixel by pixel, both with caches: the same decoder, interleaved in one run.

    python benchmarks/waves.py [--decoders pixelcnn rowlstm] [--batches 1 16 64] [--size s] [--rounds 7]

Both ways give the same sub-pixels in float64; timed is float32. The weights are fresh ones: they change no time.
Printed is the median of the ratios of a round, with the median seconds of both.
"""

import argparse
import statistics
import sys
import time
from unittest import mock

import torch

import models.sources
from models import DECODERS, Inpainter, build

CONES = [name for name, family in DECODERS.items() if family.stack and family.stack.cone]


def seconds(model: Inpainter, border: torch.Tensor) -> float:
    """Seconds of `sample`."""
    began = time.perf_counter()
    model.sample(border, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    return time.perf_counter() - began


def compare(name: str, size: str, batch: int, rounds: int) -> None:
    model = build(name, "logistic-mixture", size, use_captions=False).eval()
    generator = torch.Generator().manual_seed(0)
    border = torch.randint(0, 256, (batch, 3, 64, 64), dtype=torch.uint8, generator=generator)
    pairs = []
    for _ in range(rounds + 1):  # the first to warm up
        waves = seconds(model, border)
        with mock.patch.object(models.sources, "slope", return_value=None):
            pairs.append((seconds(model, border), waves))
    ratio = statistics.median(pixels / waves for pixels, waves in pairs[1:])
    pixels, waves = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
    print(f"{name} {size}, {batch} centers: {ratio:.2f} times as fast ({pixels:.2f} s, {waves:.2f} s)", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decoders", nargs="+", choices=CONES, default=CONES, help="default: all")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64], help="default: %(default)s")
    parser.add_argument("--size", default="s", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    args = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for name in args.decoders:
        for batch in args.batches:
            compare(name, args.size, batch, args.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
