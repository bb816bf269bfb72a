"""Drawing a center pixel by pixel: layers that keep what they have computed, beside the plain loop over whole passes.

    python benchmarks/sampling.py [--decoders gated pixelcnnpp] [--batches 16 64] [--size s] [--rounds 3]
    python benchmarks/sampling.py --recipes rowlstm-2016 gated-2016 --batches 16

The plain loop, sample(cached=False), runs the whole model for each pixel or sub-pixel; beside it stands the fastest
form that it has, in which the border tower's features are computed once. Passes are all alike, so some are timed,
between the rounds of the cached sampler, and their median stands for all. Both ways are run as shipped (float64, in
which they draw the same) and with dtype=torch.float32, tower included, and each cached time is held against both
plain ones. The weights are fresh ones: they change no time. Of a decoder, the time of drawing four rows is then taken
apart: convolutions and matrix products (the limit: what any sampler must do), the other operations, and Python with
the dispatch of operations. A recipe's model is drawn from at the image size and the hole that the recipe is for.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from torch.profiler import ProfilerActivity, profile

from inpaint.config import RECIPES, Config
from models import DECODERS, Inpainter, build
from models.decoder import Scale
from models.sampling import SampleOptions
from models.sources import PlainParams, RasterParts

DTYPES = (torch.float64, torch.float32)
ARITHMETIC = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm", "convolution", "conv2d", "scaled_dot_product")


def photos(batch: int, side: int) -> torch.Tensor:
    """Borders of noise, uint8 (B, 3, side, side)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, generator=generator)


@torch.no_grad()
def plain_step(scale: Scale, parts: RasterParts | None, dtype) -> tuple[float, float]:
    """Seconds of one step of the plain loop, and those without the tower.

    `parts` are what runs in that precision for each pixel; None where pixels come from whole passes.
    """
    decoder, x, caption, noise = scale
    began = time.perf_counter()
    if parts is None:
        decoder.draw(x, caption, noise, SampleOptions())
        return (time.perf_counter() - began,) * 2
    known = decoder.before_drawing(x, caption)
    tower = time.perf_counter() - began
    border = x[:, :4].to(dtype)
    noise, source = noise.to(dtype), PlainParams(parts, parts.stack.canvas.of(border), border, lambda: known)
    row, column = source.place = noise.shape[2] - 1, noise.shape[3] - 1
    channels = (0, 1, 2) if parts.head.by_color else (None,)
    began = time.perf_counter()
    for channel in channels:
        params, predictions = source.params(channel)
        uniforms = noise[:, :, row, column]
        uniforms = uniforms if channel is None else uniforms[:, channel : channel + 1]
        parts.likelihood.sample(params, uniforms, 1.0, predictions)
    rest = time.perf_counter() - began
    return len(channels) * tower + rest, rest


def cached(model, border, dtype) -> float:
    """Seconds of `sample`."""
    began = time.perf_counter()
    model.sample(border, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return time.perf_counter() - began


def compare(name: str, model: Inpainter, batch: int, rounds: int, passes: int) -> None:
    border = photos(batch, model.image_size)
    noise = model.likelihood.noise(torch.rand(batch, model.likelihood.uniforms_per_pixel, *model.hole[2:]))
    scales = model.net.scales(*model.inputs(border, None), noise)
    raster = [scale.decoder.raster_parts() for scale in scales]
    steps_of = [1 if parts is None else scale.noise[0, 0].numel() for scale, parts in zip(scales, raster, strict=True)]
    seconds_of = {dtype: [[] for _ in scales] for dtype in DTYPES}  # of a step, with the tower and without
    copies_of = {dtype: [parts and parts.frozen(dtype) for parts in raster] for dtype in DTYPES}
    whole = {dtype: [] for dtype in DTYPES}
    for round in range(-1, rounds):  # the first to warm up
        for dtype in DTYPES:
            for scale, parts, seconds in zip(scales, copies_of[dtype], seconds_of[dtype], strict=True):
                steps = [plain_step(scale, parts, dtype) for _ in range(passes if round >= 0 else 1)]
                seconds += steps if round >= 0 else []
            if round >= 0:
                whole[dtype].append(cached(model, border, dtype))
    print(f"{name}, {batch} centers")
    plain = {}
    for dtype in DTYPES:
        medians = [[statistics.median(column) for column in zip(*of, strict=True)] for of in seconds_of[dtype]]
        plain[dtype] = [
            sum(steps * median[k] for steps, median in zip(steps_of, medians, strict=True)) for k in range(2)
        ]
        loop, without_tower = plain[dtype]
        print(f"  plain loop, {_name(dtype)}: {loop:.2f} s, {without_tower:.2f} s with the tower run once")
    for dtype, seconds in whole.items():
        quick, spread = statistics.median(seconds), f"{min(seconds):.2f} to {max(seconds):.2f}"
        times = "; ".join(
            f"{loop / quick:.3g} times as fast as in {_name(of)}, {without_tower / quick:.3g} with the tower run once"
            for of, (loop, without_tower) in plain.items()
        )
        print(f"  cached, {_name(dtype)}: {quick:6.2f} s ({spread}); {times}", flush=True)


def of_recipe(name: str) -> Inpainter:
    """The model that a recipe trains, on images of the kind that it names."""
    recipe = json.loads((RECIPES / f"{name}.json").read_text(encoding="utf-8"))
    words = recipe.get("build", "").split(" or ")[0].split()
    grey = "mnist" in words or "fashion-mnist" in words
    side = 28 if grey else 32 if "cifar10" in words else 64
    if "--image-size" in words:
        side = int(words[words.index("--image-size") + 1])
    hole = (0, 0, side, side) if "full" in words else (side // 4, side // 4, side // 2, side // 2)
    options = Config(**recipe["options"]).network()
    return build(image_size=side, hole=hole, channels=1 if grey else 3, **options).eval()


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
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--decoders", nargs="+", choices=DECODERS, default=DECODERS, help="default: all")
    what.add_argument("--recipes", metavar="NAME", nargs="+", help="the models of recipes instead")
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64], help="default: %(default)s")
    parser.add_argument("--size", default="s", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--passes", type=int, default=5, help="of the plain loop, a round (default: %(default)s)")
    args = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    torch.manual_seed(0)
    for batch in args.batches if args.recipes else ():
        for name in args.recipes:
            compare(name, of_recipe(name), batch, args.rounds, args.passes)
    for decoder in () if args.recipes else args.decoders:
        model, small = (
            build(decoder, "logistic-mixture", args.size, hole=hole, use_captions=False).eval()
            for hole in ((16, 16, 32, 32), (16, 16, 4, 32))
        )
        for batch in args.batches:
            compare(f"{decoder} {args.size}", model, batch, args.rounds, args.passes)
            for dtype in DTYPES:
                take_apart(small, photos(batch, small.image_size), dtype)
    return 0


if __name__ == "__main__":
    sys.exit(main())
