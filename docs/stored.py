"""Stored figures and how pages write them: recipes/*.json, each with its results, and benchmarks/results/*.json.

A result has at least `data`, `nats_per_image` and `stderr`. Of a benchmark, `command` and `machine` are what it ran as
and on, where that is known, and `commit` is its program's, or `first_told` the one whose README first gave them.

A result on Flickr8k's photos may hold the same checkpoint's figures on other photos, as objects with `images`,
`nats_per_image`, `stderr` (nats an image) and `bits_per_dim`: `clean`, on photos that were only resized, and
`clean_jpeg`, on the same photos saved as JPEGs of quality 95 and decoded.
"""

import json
import math
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = {}


def table(function):
    """Register a function () -> (names of the columns, rows); links are relative to the repository's root."""
    TABLES[function.__name__] = function
    return function


def recipe(name: str) -> dict:
    """A recipe with its name."""
    return json.loads((ROOT / "recipes" / f"{name}.json").read_text(encoding="utf-8")) | {"name": name}


def recipes() -> list[dict]:
    return [recipe(path.stem) for path in sorted((ROOT / "recipes").glob("*.json"))]


def benchmark(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def codec_set(data: str, split: str, kind: str) -> dict:
    """The codecs' figures on one set of photos, which are `decoded JPEGs` or `only resized`."""
    sets = benchmark("codecs")["results"]
    return next(s for s in sets if (s["data"], s["split"], s["photos"]["kind"]) == (data, split, kind))


def on_photos(recipe: dict) -> list[dict]:
    """The results on the centers of Flickr8k's photos, 256 levels."""
    levels = recipe["options"].get("levels", 256)
    return [run for run in recipe["results"] if re.match(r"flickr8k[^:]*, 64 x 64", run["data"]) and levels == 256]


def run_split(run: dict) -> str:
    """The split that a result is of: val or test."""
    return re.search(r"scored on .* of (val|test)", run["data"])[1]


def scored_on(run: dict) -> str:
    """The split and its size; of val, that the checkpoint was chosen there."""
    size = re.search(r"([\d,]+) of (val|test)", run["data"])[1]
    return f"test, {size}" if run_split(run) == "test" else f"val, {size}, which chose it"


def interval(figure: dict | None) -> str:
    """A gain and its 95 % interval, nats an image."""
    if figure is None or figure["ci95"] is None:
        return ""
    return f"{figure['mean']:+.2f} [{figure['ci95'][0]:+.2f}, {figure['ci95'][1]:+.2f}]"


def link(recipe: dict) -> str:
    return f"[`{recipe['name']}`](recipes/{recipe['name']}.json)"


def gain(run: dict, over: str = "none") -> str:
    """A caption's gain and its 95 % interval, nats an image."""
    return interval(run.get(f"caption_gain_over_{over}"))


def bits(run: dict, digits: int = 3) -> str:
    """Bits per dim with their standard error."""
    stderr = run["stderr"] * run["bits_per_dim"] / run["nats_per_image"]
    return f"{run['bits_per_dim']:.{digits}f} ± {stderr:.{digits}f}"


def codec_bits(codec: dict) -> str:
    """Bits per dim of a codec, with their standard error where they have one."""
    return f"{codec['bits_per_dim']:.2f}" + (f" ± {codec['stderr']:.2f}" if "stderr" in codec else "")


def added(jpeg: dict) -> str:
    """Bits per dim that JPEG adds to photos, paired; nothing where that was not measured."""
    if "over_resized" not in jpeg:
        return ""
    return f"{jpeg['over_resized']['mean']:+.3f} ± {jpeg['over_resized']['stderr']:.3f}"


def clean_codecs(split: str) -> list[tuple[float, list[str]]]:
    """Each codec's bits per dim on the clean set, and its cells: name, clean, as JPEGs, JPEG adds, Flickr8k."""
    sets = [("clean", "val", "only resized"), ("clean", "val", "decoded JPEGs"), ("flickr8k", split, "decoded JPEGs")]
    rows = []
    for one, jpeg, flickr in zip(*(codec_set(*which)["codecs"] for which in sets), strict=True):
        cells = [one["codec"], codec_bits(one), codec_bits(jpeg), added(jpeg), codec_bits(flickr)]
        rows.append((one["bits_per_dim"], cells))
    return rows


def jpeg_cells(run: dict) -> list[str]:
    """A model's bits per dim on the clean set as JPEGs, and what JPEG adds; nothing where that was not measured."""
    jpeg = run.get("clean_jpeg", {})
    return [bits(jpeg) if jpeg else "", added(jpeg)]


def photo_set(one: dict) -> list[str]:
    """Cells for a set of photos: name, count, what they are, shorter side of the stored photos, bits/dim as files."""
    kind, cells = one["photos"], [f"{one['data']}, {one['split']}", f"{one['images']:,}"]
    if kind["kind"] == "only resized":
        least, median, most = kind["shorter_side"]
        return [*cells, kind["kind"], f"{least} to {most}, median {median}", ""]
    return [*cells, f"{kind['kind']}, quality {kind['quality']}", "64", f"{kind['bits_per_dim_as_files']:.2f}"]


def nats(run: dict, digits: int = 2) -> str:
    """Nats per image with their standard error."""
    return f"{run['nats_per_image']:,.{digits}f} ± {run['stderr']:.{digits}f}"


def in_unit(run: dict, unit: str) -> str:
    """A result in the unit of the published one, named."""
    if unit == "nats per image":
        return f"{nats(run)} nats"
    if unit == "bits per dim":
        return f"{bits(run, 4)} bits/dim"
    scale = run["bits_per_dim"] / run["nats_per_image"] * math.log(2)
    return f"{run['nats_per_image'] * scale:.3f} ± {run['stderr'] * scale:.3f} nats a sub-pixel"


def how(run: dict) -> str:
    """How long a run took, and on what."""
    steps = f", {run['steps']:,} steps" if "steps" in run else ""
    minutes = f"{run['minutes']} minutes, " if "minutes" in run else ""
    seeds = f", {run['seeds']} seeds" if "seeds" in run else ""
    return f"{minutes}{run['machine'].split(', ')[0]}{steps}{seeds}"


def published(one: dict) -> str:
    """A paper's figure."""
    figure, units = one["figure"], {"nats per image": "nats", "bits per dim": "bits/dim"}
    digits = 4 if figure < 1 else 2 if figure < 1000 else 0
    return f"{figure:,.{digits}f} {units.get(one['unit'], 'nats a sub-pixel')}"
