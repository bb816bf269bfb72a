"""How often an interval of 95 % holds the truth: those of evaluate.py beside plainer ones, on simulated gains.

    python benchmarks/interval_coverage.py [--trials 2000] [--json FILE]

First the mean over images: percentiles of the bootstrap, BCa, and BCa at the level of Student's t, which evaluate.py
gives from 20 images on. Then a gain over several trainings: images differ by 1 nat, each image in each training by 0.5
more, trainings by the multiple given of the images' standard error. Over images alone (BCa of the mean over trainings);
percentiles after resampling seeds and images; and the interval of evaluate.py.
"""

import argparse
import json
import sys

import numpy as np
from scipy.stats import bootstrap

from inpaint.evaluation.statistics import gain_and_ci95, mean_and_ci95, resampled_means, widened

RESAMPLES = 1000
IMAGES, SEEDS = 200, 3  # of the gains over trainings
VALUES = {  # and their true mean
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0),
    "Student's t, 4 degrees": (lambda rng, n: rng.standard_t(4, size=n), 0.0),
}


def holds(interval, truth: float) -> bool:
    low, high = interval
    return bool(low <= truth <= high)


def over_images(draw, truth: float, n: int, trials: int) -> dict[str, float]:
    """Share of trials in which each interval of the mean of n values holds the truth."""
    found = dict.fromkeys(("percentiles", "BCa", "BCa, widened"), 0)
    for trial in range(trials):
        rng = np.random.default_rng([n, trial])
        values = draw(rng, n)
        for name, method, level in (
            ("percentiles", "percentile", 0.95),
            ("BCa", "BCa", 0.95),
            ("BCa, widened", "BCa", widened(n)),
        ):
            options = {"method": method, "confidence_level": level, "n_resamples": RESAMPLES, "rng": trial}
            found[name] += holds(bootstrap((values,), np.mean, **options).confidence_interval, truth)
    return {name: count / trials for name, count in found.items()}


def over_trainings(seeds: int, sides: int, spread: float, trials: int) -> dict[str, float]:
    """The same for a gain of 0 over trainings on each side, which differ by `spread` times the images' error."""
    found = dict.fromkeys(("images alone", "percentiles", "evaluate.py"), 0)
    for trial in range(trials):
        rng = np.random.default_rng([seeds, sides, trial])
        shift = spread / np.sqrt(IMAGES)
        gains = [shift * rng.normal(size=(seeds, 1)) + 0.5 * rng.normal(size=(seeds, IMAGES)) for _ in range(sides)]
        gains[0] = gains[0] + rng.normal(size=IMAGES)
        means = sum(side.mean(axis=0) for side in gains)
        found["images alone"] += holds(mean_and_ci95(means, trial, RESAMPLES)["ci95"], 0)
        drawn = resampled_means(gains, trial, RESAMPLES, unbiased=False)
        found["percentiles"] += holds(np.quantile(drawn, [0.025, 0.975]), 0)
        found["evaluate.py"] += holds(gain_and_ci95(gains, trial)["ci95"], 0)
    return {name: count / trials for name, count in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--json", metavar="FILE", help="write the shares there")
    args = parser.parse_args()
    results = []
    for n in (10, 20, 50, 200):
        for name, (draw, truth) in VALUES.items():
            results.append({"values": name, "images": n, "holds": over_images(draw, truth, n, args.trials)})
            print(results[-1], flush=True)
    for sides in (1, 2):
        for spread in (0, 1, 5):
            shares = over_trainings(SEEDS, sides, spread, args.trials)
            results.append({"seeds": SEEDS, "sides": sides, "spread": spread, "holds": shares})
            print(results[-1], flush=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
