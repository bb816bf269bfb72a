"""The figures that two processes give beside those of one: a short training and an evaluation, with equal options.

    python benchmarks/processes.py --data FILE.h5 [--steps 200] [--limit 500]

Both sides get two cores: one process of two threads, and two processes of one thread each (torchrun). Training is in
float32 without dropout, so that the two compute the same sums in another order; rounds are not repeated, so the times
tell only which is faster.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

REPOSITORY = Path(__file__).resolve().parent.parent
LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
LOSSES = ("train", "val")
SIDES = {"1 process": ([], "2"), "2 processes": (LAUNCHER, "1")}  # how it is started, threads each


def run(side: str, *words) -> float:
    """Run a script as one side does; the seconds it takes."""
    launcher, threads = SIDES[side]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *launcher, *map(str, words)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": threads},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"error: {side}: {done.stderr.strip().splitlines()[-1]}")
    return time.perf_counter() - began


def leaves(value, path=""):
    """(path, number) of every number in nested dicts and lists, the speed left out."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if key != "images_per_second":
                yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, int | float):
        yield path, value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="FILE.h5", help="photos with a val split")
    parser.add_argument("--steps", type=int, default=200, help="of training (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=500, help="images evaluated (default: %(default)s)")
    options = parser.parse_args()
    data = Path(options.data).resolve()
    training, trained, figures, evaluating = {}, {}, {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for side in SIDES:
            words = ["train_inpaint.py", "--data", data, "--out", folder / side, "--use-captions", "--dropout", 0]
            words += ["--precision", "fp32", "--steps", options.steps, "--evaluate-every", options.steps]
            training[side] = run(side, *words)
            log = EventAccumulator(str(folder / side), size_guidance={"scalars": 0}).Reload()
            trained[side] = {tag: [event.value for event in log.Scalars(f"{tag}/nats_per_image")] for tag in LOSSES}
        for side in SIDES:
            out = folder / f"{side}.json"
            words = ["evaluate.py", folder / "1 process" / "best.pt", "--limit", options.limit, "--json", out]
            evaluating[side] = run(side, *words)
            figures[side] = dict(leaves(json.loads(out.read_text())))
    one, two = SIDES
    print(f"training, {options.steps} steps, batch 16, float32")
    for side in SIDES:
        first, last = trained[side]["train"][0], trained[side]["train"][-1]
        print(f"  {side:12} train {first:.3f} to {last:.3f}, val {trained[side]['val'][-1]:.3f} nats/image")
    curves = zip(trained[one]["train"], trained[two]["train"], strict=True)
    largest = max(abs(a - b) / a for a, b in curves)
    print(f"  largest relative difference of the curves {largest:.1e}; {ratio(training)} times the speed")
    print(f"evaluation of one checkpoint, {options.limit} images")
    for side in SIDES:
        gain = figures[side]["/caption_gain_nats_per_image/over_none/mean"]
        print(f"  {side:12} {figures[side]['/nats_per_image/mean']:.6f} nats/image, caption gain {gain:+.6f}")
    largest = max(abs(figures[one][path] - figures[two][path]) for path in figures[one])
    print(f"  largest difference of any figure {largest:.1e}; {ratio(evaluating)} times the speed, start-up included")


def ratio(seconds: dict) -> str:
    return f"{seconds['1 process'] / seconds['2 processes']:.2f}"


if __name__ == "__main__":
    main()
