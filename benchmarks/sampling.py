"""Drawing a center pixel by pixel: layers that keep what they have computed, beside the plain loop over whole passes.

    python benchmarks/sampling.py [--decoders gated pixelcnnpp] [--batches 16 64] [--size s] [--rounds 3]

The plain loop, sample(cached=False), runs the whole model for each pixel; beside it stands the fastest form that it
has, in which the border tower's features are computed once and not 1,024 times. Passes are all alike, so some are
timed, between the rounds of the cached sampler, and their median stands for all. Both ways are run as shipped (float64,
in which they draw the same) and with dtype=torch.float32, tower included, and each cached time is held against both
plain ones. The weights are fresh ones: they change no time. Then the time of drawing four rows is taken apart:
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
from models.drawing import Parts, Plain

PIXELS = 32 * 32
DTYPES = (torch.float64, torch.float32)
ARITHMETIC = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm", "convolution", "conv2d", "scaled_dot_product")


def photos(batch: int) -> torch.Tensor:
    """Borders of noise, uint8 (B, 3, 64, 64)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 3, 64, 64), dtype=torch.uint8, generator=generator)


@torch.no_grad()
def plain_pass(model, parts: Parts, border, noise, dtype) -> tuple[float, float]:
    """Seconds of one step of the plain loop, a whole pass and one pixel drawn from it; and those without the tower."""
    began = time.perf_counter()
    context, given, x = model._known(border, None)
    tower = time.perf_counter() - began
    source = Plain(parts, model.stack.canvas.of(x).to(dtype), lambda: (context, given))
    began = time.perf_counter()
    params, anchor = source.params(5, 5, x[:, :3, 5, 5], None)
    parts.likelihood.sample(params, noise, 1.0, anchor)
    rest = time.perf_counter() - began
    return tower + rest, rest


def cached(model, border, dtype) -> float:
    """Seconds of `sample`."""
    began = time.perf_counter()
    model.sample(border, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return time.perf_counter() - began


def compare(decoder: str, size: str, batch: int, rounds: int, passes: int) -> None:
    torch.manual_seed(0)
    model = build(decoder, "logistic-mixture", size).eval()
    border = photos(batch)
    noise = model.likelihood.noise(torch.rand(batch, model.likelihood.uniforms_per_pixel, 1, 1))[:, :, 0, 0]
    parts = Parts(model.stack, model.head, model.likelihood, model.anchor)
    frozen = {dtype: parts.frozen(dtype) for dtype in DTYPES}
    passes_of, whole = {dtype: [] for dtype in DTYPES}, {dtype: [] for dtype in DTYPES}
    for round in range(-1, rounds):  # the first to warm up
        for dtype in DTYPES:
            seconds = [plain_pass(model, frozen[dtype], border, noise.to(dtype), dtype) for _ in range(passes)]
            if round >= 0:
                passes_of[dtype] += seconds
                whole[dtype].append(cached(model, border, dtype))
    plain = {
        dtype: [PIXELS * statistics.median(seconds) for seconds in zip(*passes_of[dtype], strict=True)]
        for dtype in DTYPES
    }
    print(f"{decoder} {size}, {batch} centers")
    for dtype in DTYPES:
        loop, without_tower = plain[dtype]
        print(f"  plain loop, {_name(dtype)}: {loop:.0f} s, {without_tower:.0f} s with the tower run once")
    for dtype, seconds in whole.items():
        quick, spread = statistics.median(seconds), f"{min(seconds):.2f} to {max(seconds):.2f}"
        times = "; ".join(
            f"{loop / quick:.0f} times as fast as in {_name(of)}, {without_tower / quick:.0f} with the tower run once"
            for of, (loop, without_tower) in plain.items()
        )
        print(f"  cached, {_name(dtype)}: {quick:6.2f} s ({spread}); {times}", flush=True)
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
        f"  of {_name(dtype)}'s time under the profiler: convolutions and matrix products "
        f"{arithmetic / wall:.0%}, other operations {other / wall:.0%}, Python and dispatch "
        f"{1 - (arithmetic + other) / wall:.0%}",
        flush=True,
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


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
