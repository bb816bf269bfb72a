"""How much faster the caption encoder learns with its GRU in one scan than with torch.nn.GRU, side by side in one run.

    python benchmarks/caption_encoder.py [--rounds 15] [--batch-size 16]

A step is a forward and a backward pass over the captions of one batch. Rounds are interleaved; the median of the ratios
is printed, with the largest difference between the two sides' gradients.
"""

import argparse
import copy
import statistics
import time

import torch

from data_prep.errors import run_main
from models.caption_encoder import CaptionEncoder, encode


def step(encoder, codes):
    encoder.zero_grad()
    encoder(codes).square().mean().backward()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=16, help="captions a step (default: %(default)s)")
    options = parser.parse_args(argv)
    torch.manual_seed(0)
    scan, plain = CaptionEncoder(), CaptionEncoder()
    plain.gru = torch.nn.GRU(32, 32, batch_first=True, bidirectional=True)
    plain.load_state_dict(copy.deepcopy(scan.state_dict()))
    codes = encode([f"caption {i}: a brown dog runs after {i} red balls" for i in range(options.batch_size)])
    sides = {"torch.nn.GRU": plain, "one scan": scan}
    for encoder in sides.values():
        step(encoder, codes)  # warms up
    pairs = zip(plain.parameters(), scan.parameters(), strict=True)
    difference = max(float((a.grad - b.grad).abs().max() / a.grad.abs().max()) for a, b in pairs)
    times = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, encoder in sides.items():
            began = time.perf_counter()
            step(encoder, codes)
            times[name].append(time.perf_counter() - began)
    ratios = [plain / scan for plain, scan in zip(*times.values(), strict=True)]
    for name, values in times.items():
        print(f"{name:14}{1000 * statistics.median(values):8.1f} ms a step")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {options.rounds} rounds")
    print(f"largest relative difference of a gradient: {difference:.1e}")


if __name__ == "__main__":
    run_main(main)
