"""Every table of figures in README.md and docs/, made from stored JSON: recipes/*.json and benchmarks/results/*.json.

    python docs/tables.py            writes the tables into the pages
    python docs/tables.py --check    changes nothing; exit code 1 if a page is not what it would write

A page says where a table goes: it stands between `<!-- table: NAME -->` and `<!-- end -->`, and is replaced whole.
NAME is that of a function marked with @table: below, or in measured.py.
"""

import argparse
import itertools
import re
import sys
from collections import defaultdict
from pathlib import Path

import measured  # noqa: F401 - registers the tables of benchmarks
from stored import (
    ROOT,
    TABLES,
    benchmark,
    bits,
    clean_codecs,
    codec_bits,
    codec_set,
    gain,
    how,
    in_unit,
    interval,
    jpeg_cells,
    link,
    nats,
    on_photos,
    photo_set,
    published,
    recipe,
    recipes,
    run_split,
    scored_on,
    table,
)

MARKED = re.compile(r"(<!-- table: ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)
COMPARED = "fashion-threshold"  # the recipe that trained decoders for equal time
SPLIT = "test"  # of Flickr8k: where codecs are shown beside models
CODECS = "[`codecs.py`](benchmarks/codecs.py)"
OVER = {  # keys of evaluate.py's JSON
    "over_captionless": "over the same trained without captions",
    "over_none": "over none",
    "over_swapped": "over one lent at random",
    "over_unlike": "over an unlike one",
    "over_mixture": "over a mixture",
}
GAINS = ("caption gain over none", "over an unlike one")


def pages() -> list[Path]:
    """The pages that may hold tables."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(page: Path, text: str) -> str:
    """A page's text with every table made anew. Raises KeyError for an unknown table, ValueError for a mark alone."""
    if not len(MARKED.findall(text)) == text.count("<!-- table:") == text.count("<!-- end -->"):
        raise ValueError(f"{page}: a mark `<!-- table: NAME -->` or `<!-- end -->` is alone")
    up = "../" * len(page.relative_to(ROOT).parts[:-1])

    def fill(mark: re.Match) -> str:
        head, rows = TABLES[mark[2]]()
        lines = "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *rows))
        return mark[1] + re.sub(r"\]\((?!https?:)", f"]({up}", lines) + mark[3]

    return MARKED.sub(fill, text)


# README


@table
def best():
    """The best figure of each decoder on photos of test."""
    found = defaultdict(list)
    for source in recipes():
        exact = source["options"]["likelihood"] != "bernoulli"
        runs = [(run, source) for run in on_photos(source) if run_split(run) == "test"]
        found[source["options"]["decoder"], exact] += runs
    finds = [min(runs, key=lambda pair: pair[0]["nats_per_image"]) for runs in found.values() if runs]
    rows = []
    for run, source in sorted(finds, key=lambda pair: ("bits_per_dim" in pair[0], -pair[0]["nats_per_image"])):
        decoder = source["options"]["decoder"]
        figure = f"{bits(run)} bits/dim" if "bits_per_dim" in run else f"{nats(run, 1)} nats, cross-entropy"
        rows.append([f"`{decoder}`", figure, how(run), link(source)])
    others = {decoder for decoder, _ in found if all(row[0] != f"`{decoder}`" for row in rows)}
    rows += [[f"`{decoder}`", "none yet", "", ""] for decoder in sorted(others)]
    return ("decoder", "593 held-out photos", "trained for", "recipe"), rows


# docs/results.md


@table
def captions():
    """What captions are worth, over seeds."""
    runs = [(run, source) for source in recipes() for run in on_photos(source) if "caption_gains" in run]
    rows = [
        [
            link(source),
            f"{run['seeds']}, {run['steps']:,} steps each",
            *(interval(run["caption_gains"][key]) for key in OVER),
        ]
        for run, source in runs
    ]
    return ("recipe", "seeds", *OVER.values()), rows


@table
def cross_entropy():
    rows = []
    for source in map(recipe, ("ift6266-2017", "ift6266-2017-captions", "contour", "contour-captions")):
        for run in on_photos(source):
            photos = re.search(r"([\d,]+) photos of train", run["data"])[1]
            length = (
                f"{run['minutes']} minutes" if "minutes" in run else f"{run['steps']:,} steps, {run['seeds']} seeds"
            )
            cells = [link(source), photos, length, scored_on(run), nats(run, 1), f"{run['excess_nats_per_image']:.1f}"]
            rows.append([*cells, gain(run), gain(run, "unlike"), f"{run['psnr_db']:.2f} dB", f"{run['ssim']:.3f}"])
    return ("recipe", "photos", "length", "scored on", "nats/image", "over the floor", *GAINS, "PSNR", "SSIM"), rows


@table
def demo():
    rows = [
        [f"{run['nats_per_image']:,.1f}", f"{run['excess_nats_per_image']:.1f}", gain(run), gain(run, "unlike")]
        for run in recipe("demo")["results"]
    ]
    return ("nats/image", "over the floor", *GAINS), rows


@table
def demo_truth():
    rows = []
    for source in map(recipe, ("demo-gated", "demo-gated-2", "demo-pixelcnn", "demo-pixelcnn-2")):
        for run in source["results"]:
            name = f"then {link(source)}" if "continues" in run else link(source)
            above = (run["nats_above_truth"], run["nats_above_truth_without_captions"])
            cells = [name, f"{run['scenes']:,}", f"{run['without_caption']:.0%}".replace("%", " %"), nats(run)]
            rows.append([*cells, *(f"{excess:.2f}" for excess in above), gain(run), how(run)])
    head = ("recipe", "scenes", "trained without caption", "nats/image", "above the truth, 4.159")
    return (*head, "without captions, above 8.723", "caption gain over none", "trained for"), rows


@table
def bits_per_dim():
    codecs = codec_set("flickr8k", SPLIT, "decoded JPEGs")["codecs"]
    rows = [(codec["bits_per_dim"], [codec["codec"], codec_bits(codec), SPLIT, "", CODECS]) for codec in codecs]
    for source in recipes():
        runs = [run for run in on_photos(source) if "bits_per_dim" in run]
        rows += [(run["bits_per_dim"], [link(source), bits(run), scored_on(run), gain(run), how(run)]) for run in runs]
    head = ("model or codec", "bits/dim", "scored on", "caption gain over none, of this checkpoint", "how")
    return head, [row for _, row in sorted(rows)[::-1]]


@table
def clean():
    """Codecs and models on photos that were only resized, on the same as JPEGs, and on Flickr8k's JPEGs."""
    rows = [(figure, [*cells, CODECS]) for figure, cells in clean_codecs(SPLIT)]
    for source in recipes():
        for run in (run for run in on_photos(source) if "clean" in run):
            cells = [link(source), bits(run["clean"]), *jpeg_cells(run), bits(run), how(run)]
            rows.append((run["clean"]["bits_per_dim"], cells))
    head = ("model or codec", "only resized", "as JPEGs", "JPEG adds, paired", f"Flickr8k's JPEGs, {SPLIT}", "how")
    return head, [row for _, row in sorted(rows)[::-1]]


@table
def photos():
    """The sets of photos that codecs and models were measured on, and what they are."""
    head = ("set", "photos", "what they are", "shorter side of the stored photo", "bits/dim as files")
    return head, [photo_set(one) for one in benchmark("codecs")["results"]]


# docs/lineage.md

SHARED_DEPARTURES = {  # said once, below the table
    "the first layer also reads the mask of known pixels",
    "the learning rate falls along a cosine",
    "gradients are clipped at norm 1",
    "weights are averaged",
}


@table
def lineage():
    def year(source):
        found = re.search(r"-(\d{4})\b", source["name"])
        return found[1] if found else "9999", source["name"]

    rows = []
    for source in sorted((source for source in recipes() if "system" in source), key=year):
        there = [f"{one['on']}: {published(one)}" for one in source["published"]]
        cells = [source["system"], source["after"], link(source), f"{source['parameters'] / 1e6:.3g} M"]
        departs = [what for what in source["departs"] if what not in SHARED_DEPARTURES]
        rows.append([*cells, "; ".join(there) or "none", _here(source), "; ".join(departs)])
    return ("system", "after", "recipe", "parameters", "published", "here", "departs from it"), rows


def _here(source: dict) -> str:
    if not source["results"]:
        return "no figure: only a few steps on made-up images of that shape"
    unit = source["published"][0]["unit"] if source["published"] else source.get("unit", "nats per image")
    parts = []
    for (data, machine), alike in itertools.groupby(source["results"], lambda run: (run["data"], run["machine"])):
        figures = [
            f"{run['variant']}: {in_unit(run, unit)}" if "variant" in run else in_unit(run, unit) for run in alike
        ]
        parts.append(f"{'; '.join(figures)} ({data}; {machine})")
    return "; ".join(parts)


@table
def equal_time():
    source = recipe(COMPARED)
    rows = []
    for run in sorted(source["results"], key=lambda run: run["nats_per_image"]):
        seen = run["steps"] * source["options"]["batch_size"]
        cells = [f"`{run['decoder']}`", nats(run), bits(run, 4), f"{run['steps']:,}", f"{seen:,}"]
        rows.append(
            [*cells, f"{run['nats_after_1000_steps_first_500']:.1f}", f"{run['stack_parameters_million']:.2f} M"]
        )
    head = ("decoder", "nats/image", "bits/dim", "steps", "images seen", "after 1,000 steps", "parameters of the stack")
    return head, rows


@table
def parallel():
    times = {run["decoder"]: run["float64_s"] for run in benchmark("parallel")["results"]}
    rows = []
    for name, time in times.items():
        source = recipe(name)
        run = next(run for run in source["results"] if run["minutes"] == 12)
        rows.append([link(source), bits(run), f"{run['steps']:,}", f"{time} s"])
    return ("decoder", "bits/dim", "steps in 12 minutes", "drawing 16 centers"), rows


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page would change")
    check = parser.parse_args(argv).check
    changed = []
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = filled(page, before)
        if before != after:
            changed.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(after, encoding="utf-8")
    if changed:
        print(
            f"{'out of date' if check else 'written'}: {', '.join(changed)}", file=sys.stderr if check else sys.stdout
        )
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
