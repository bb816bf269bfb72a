"""The tables of benchmarks/results/*.json that are not about models' nats: sizes, speeds, intervals. See tables.py."""

import itertools

from stored import benchmark, interval, link, recipe, table

SPEEDS = ("build_speed", "training_speed", "allocator", "caption_encoder", "muon_precision", "waves")

# docs/performance.md


@table
def sizes():
    def row(decoder, runs):
        return [f"`{decoder}`", *(f"{run['parameters_million']:.1f} M, {run['memory_gib']:.1f} GiB" for run in runs)]

    runs = benchmark("sizes")["results"]
    return ("decoder", "`--size s`", "`m`", "`l`"), [
        row(*group) for group in itertools.groupby(runs, lambda run: run["decoder"])
    ]


@table
def processes():
    sides = ("1 process", "2 processes")
    rows = [
        [run["what"], *(f"{run[side]:.{run['digits']}f}" for side in sides)]
        for run in benchmark("processes")["results"]
    ]
    return ("", *sides), rows


@table
def speeds():
    rows = []
    for stored in map(benchmark, SPEEDS):
        for run in stored["results"]:
            ratio = f"{run['ratio']:.2f}" if run["ratio"] < 10 else f"{run['ratio']:.0f}"
            rows.append([run["what"], run["beside"], ratio, stored["machine"], f"`{stored['command']}`"])
    return ("what", "beside", "times as fast", "on", "program"), rows


LOOPS = ("float64_beside_float64_loop", "float64_beside_float32_loop")
LOOPS += ("float32_beside_float32_loop", "float32_beside_float32_loop_tower_once")


@table
def sampling():
    rows = []
    for run in benchmark("sampling")["results"]:
        ratios = (f"{run[loop]:,}" if loop in run else "" for loop in LOOPS)
        rows.append([f"`{run['decoder']}` {run['size']}", f"{run['centers']}", *ratios, f"`{run['command']}`"])
    head = ("decoder", "centers", "float64, loop in float64", "float64, loop in float32", "float32, loop in float32")
    return (*head, "float32, loop in float32, tower once", "program"), rows


@table
def sampling_parts():
    runs = benchmark("sampling")["results"]
    parts = list(runs[0]["percent_of_time_float32"])
    shares = [[f"{run['percent_of_time_float32'][part]} %" for part in parts] for run in runs]
    rows = [
        [f"`{run['decoder']}` {run['size']}", f"{run['centers']}", *row] for run, row in zip(runs, shares, strict=True)
    ]
    return ("decoder", "centers", *parts), rows


# docs/evaluation.md


def coverage(kind: str) -> list[tuple[dict, dict[str, str]]]:
    """What was simulated, and the share of intervals that hold the truth; `kind` is a key that its results have."""
    found = [run for run in benchmark("interval_coverage")["results"] if kind in run]
    return [(run, {name: f"{share:.3f}" for name, share in run["holds"].items()}) for run in found]


@table
def interval_coverage():
    runs = coverage("values")
    rows = [[run["values"], f"{run['images']}", *shares.values()] for run, shares in runs]
    return ("values", "images", *runs[0][1]), rows


@table
def seed_coverage():
    runs = coverage("seeds")
    sides = {1: "caption gain", 2: "difference of two models"}
    rows = [[sides[run["sides"]], f"{run['seeds']}", f"{run['spread']}", *shares.values()] for run, shares in runs]
    return ("gain", "seeds a side", "trainings differ by", *runs[0][1]), rows


# docs/results.md


@table
def masks():
    rows = []
    for run in benchmark("masks")["results"]:
        less, (low, high) = run["mixed_less_box"]["mean"], run["mixed_less_box"]["ci95"]
        bits = (f"{run[side]:.3f}" for side in ("box", "mixed"))
        rows.append([f"`{run['masks']}`", f"{run['share']:.0%}", *bits, f"{less:+.3f} [{low:+.3f}, {high:+.3f}]"])
    return ("unknown", "of the hole", "trained on `box`", "on `mixed`", "difference"), rows


@table
def caption_counts():
    """What several captions at once are worth."""
    rows = []
    for run in benchmark("captions_at_once")["results"]:
        trained = ", ".join([link(recipe(run["recipe"])), *run.get("with", [])])
        cells = [trained, f"{run['split']}, {run['images']:,}", f"{run['nats_without']:,.1f}"]
        rows.append([*cells, *(interval(run["gain"][count]) for count in ("1", "2", "3", "5"))])
    head = ("recipe", "scored on", "nats/image without", "one caption", "two at once", "three", "five")
    return head, rows


@table
def mask_order():
    rows = []
    for run in benchmark("masks")["order"]:
        less, (low, high) = run["less"]["mean"], run["less"]["ci95"]
        apart = run["together"] - less
        difference = f"{-less:+.1f} [{-high:+.1f}, {-low:+.1f}]"
        rows.append([f"`{run['trained_on']}`", f"{run['together']:,.1f}", f"{apart:,.1f}", difference])
    return ("trained on", "lower half, together, nats/image", "alone", "difference"), rows


@table
def tried():
    rows = []
    for run in benchmark("tried")["results"]:
        gain, (low, high) = run["gain"]["mean"], run["gain"]["ci95"]
        figures = (
            f"{run['bits_per_dim']:.3f}",
            f"{gain:+.4f} [{low:+.4f}, {high:+.4f}]",
            "not measured" if run["times"] is None else f"{run['times']:.2f}",
        )
        rows.append([run["what"], run["beside"], run["photos"], *figures, run["kept"]])
    return ("what", "beside", "photos", "bits/dim", "less by", "times as long", "kept"), rows
