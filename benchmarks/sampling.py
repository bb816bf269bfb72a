"""Drawing a center pixel by pixel: layers that keep what they have computed, beside the plain loop over whole passes.

    python benchmarks/sampling.py [--decoders gated pixelcnnpp] [--batches 16 64] [--size s] [--rounds 3]

The plain loop runs the whole model for each pixel, float32 and channels_last; beside it stands the fastest form that
it has, in which the border tower's features are computed once and not 1,024 times. Passes are all alike, so some are
timed, between the rounds of the cached sampler, and their median stands for all. Cached drawing is `Inpainter.sample`
as shipped (float64, in which cached and plain draw the same) and with dtype=torch.float32, tower included. The weights
are fresh ones: they change no time. Then the time of drawing four rows is taken apart: convolutions and matrix products
(the limit: what any sampler must do), the other operations, and Python with the dispatch of operations.
"""

import argparse
import statistics
import sys
import time

import torch
from torch.profiler import ProfilerActivity, profile

from models import DECODERS, build

PIXELS = 32 * 32
DTYPES = (torch.float64, torch.float32)
ARITHMETIC = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm", "convolution", "conv2d", "scaled_dot_product")


def photos(batch: int) -> torch.Tensor:
    """Borders of noise, uint8 (B, 3, 64, 64)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 3, 64, 64), dtype=torch.uint8, generator=generator)


@torch.no_grad()
def plain_pass(model, border, noise) -> tuple[float, float]:
    """Seconds of one step of the plain loop, a whole pass and one pixel drawn from it; and those without the tower."""
    began = time.perf_counter()
    context, given, x = model._known(border, None)
    canvas = model.stack.canvas.of(x)
    known = time.perf_counter()
    params = model.head(given, model.stack(canvas, context))
    anchor = model.anchor(canvas, context.border)
    model.likelihood.sample(params[:, :, 5:6, 5:6], noise, 1.0, anchor[:, :, 5:6, 5:6])
    ended = time.perf_counter()
    return ended - began, ended - known


def cached(model, border, dtype) -> float:
    """Seconds of `sample`."""
    began = time.perf_counter()
    model.sample(border, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return time.perf_counter() - began


def compare(decoder: str, size: str, batch: int, rounds: int, passes: int) -> None:
    torch.manual_seed(0)
    model = build(decoder, "logistic-mixture", size).eval()
    border = photos(batch)
    noise = model.likelihood.noise(torch.rand(batch, model.likelihood.uniforms_per_pixel, 1, 1))
    plain_pass(model, border, noise)
    passes_of, whole = [], {dtype: [] for dtype in DTYPES}
    for _ in range(rounds):
        passes_of += [plain_pass(model, border, noise) for _ in range(passes)]
        for dtype, seconds in whole.items():
            seconds.append(cached(model, border, dtype))
    plain, without_tower = (PIXELS * statistics.median(seconds) for seconds in zip(*passes_of, strict=True))
    print(f"{decoder} {size}, {batch} centers: plain loop {plain:.0f} s, {without_tower:.0f} s with the tower run once")
    for dtype, seconds in whole.items():
        quick = statistics.median(seconds)
        name, spread = str(dtype).removeprefix("torch."), f"{min(seconds):.2f} to {max(seconds):.2f}"
        times = f"{plain / quick:.0f} times as fast, {without_tower / quick:.0f} beside the tower run once"
        print(f"  cached, {name}: {quick:6.2f} s ({spread}), {times}", flush=True)
    small = build(decoder, "logistic-mixture", size, hole=(16, 16, 4, 32)).eval()
    for dtype in DTYPES:
        take_apart(small, border, dtype)


def take_apart(model, border, dtype) -> None:
    """Print where the time of one cached drawing goes."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        began = time.perf_counter()
        cached(model, border, dtype)
        wall = time.perf_counter() - began
    arithmetic = other = 0.0
    for event in profiled.key_averages():
        seconds = event.self_cpu_time_total / 1e6
        if any(word in event.key for word in ARITHMETIC):
            arithmetic += seconds
        elif event.key.startswith("aten::"):
            other += seconds
    print(
        f"  of {str(dtype).removeprefix('torch.')}'s time under the profiler: convolutions and matrix products "
        f"{arithmetic / wall:.0%}, other operations {other / wall:.0%}, Python and dispatch "
        f"{1 - (arithmetic + other) / wall:.0%}",
        flush=True,
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
