"""Drawing a center pixel by pixel: layers that keep what they have computed, beside the plain loop over whole passes.

    python benchmarks/sampling.py [--decoders gated pixelcnnpp] [--batches 16 64] [--size s] [--rounds 3]

The plain loop is the fastest form it has: float32, channels_last, one whole forward pass a pixel, the border tower's
features computed once and not 1,024 times. Its passes are all alike, so some are timed, between the rounds of the
cached sampler, and their median stands for all. Cached drawing is `Inpainter.sample` as shipped, tower included. The
weights are fresh ones: they change no time. Then the time of one cached drawing is taken apart: multiply-adds of
convolutions and matrix products (the limit: what any sampler must do), the other operations, and Python with the
dispatch of operations.
"""

import argparse
import statistics
import sys
import time

import torch
from torch.profiler import ProfilerActivity, profile

from models import DECODERS, build

PIXELS = 32 * 32
ARITHMETIC = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm", "convolution", "conv2d", "scaled_dot_product")


def photos(batch: int) -> torch.Tensor:
    """Borders of noise, uint8 (B, 3, 64, 64)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 3, 64, 64), dtype=torch.uint8, generator=generator)


@torch.no_grad()
def plain_pass(model, canvas, context, given, uniforms) -> float:
    """Seconds of one step of the plain loop: a whole pass, and one pixel drawn from it."""
    began = time.perf_counter()
    params = model.head(given, model.stack(canvas, context))
    model.likelihood.sample(params[:, :, 5:6, 5:6], uniforms)
    return time.perf_counter() - began


def cached(model, border) -> float:
    """Seconds of `sample`."""
    began = time.perf_counter()
    model.sample(border, generator=torch.Generator().manual_seed(0))
    return time.perf_counter() - began


def compare(decoder: str, size: str, batch: int, rounds: int, passes: int) -> None:
    torch.manual_seed(0)
    model = build(decoder, "logistic-mixture", size).eval()
    border = photos(batch)
    with torch.no_grad():
        context, given, x = model._known(border, None)
        canvas = model.stack.canvas.of(x)
    uniforms = torch.rand(batch, model.likelihood.uniforms_per_pixel, 1, 1)
    plain_pass(model, canvas, context, given, uniforms)
    cached(model, border)
    one_pass, whole = [], []
    for _ in range(rounds):
        one_pass += [plain_pass(model, canvas, context, given, uniforms) for _ in range(passes)]
        whole.append(cached(model, border))
    plain, quick = PIXELS * statistics.median(one_pass), statistics.median(whole)
    print(
        f"{decoder:<11}{size:>3}{batch:>6} centers   plain {plain:8.1f} s   cached {quick:6.2f} s "
        f"({min(whole):.2f} to {max(whole):.2f})   {plain / quick:6.0f} times"
    )
    take_apart(model, border)


def take_apart(model, border) -> None:
    """Print where the time of one cached drawing goes."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        began = time.perf_counter()
        cached(model, border)
        wall = time.perf_counter() - began
    arithmetic = other = 0.0
    for event in profiled.key_averages():
        seconds = event.self_cpu_time_total / 1e6
        if any(word in event.key for word in ARITHMETIC):
            arithmetic += seconds
        elif event.key.startswith("aten::"):
            other += seconds
    print(
        f"{'':<11}of which convolutions and matrix products {arithmetic / wall:.0%}, other operations "
        f"{other / wall:.0%}, Python and dispatch {1 - (arithmetic + other) / wall:.0%} (under the profiler)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    causal = [name for name in DECODERS if name != "contour"]
    parser.add_argument("--decoders", nargs="+", choices=causal, default=causal, help="default: all")
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64], help="default: %(default)s")
    parser.add_argument("--size", default="s", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--passes", type=int, default=5, help="of the plain loop, a round (default: %(default)s)")
    args = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for decoder in args.decoders:
        for batch in args.batches:
            compare(decoder, args.size, batch, args.rounds, args.passes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
