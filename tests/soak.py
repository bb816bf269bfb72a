"""Kill builds, trainings and evaluations at random moments, over and over, and see that nothing is ever lost.

    python tests/soak.py [--kills 100] [--seed 0] [--folder DIR]

Each job first runs undisturbed. Then the same job runs again in a folder of its own, is killed with SIGKILL after a
random time, and is started again, until it ends by itself; then the next folder. After every kill what was whole
before must still be whole, and no process may be left behind; at the end of a run its results must be those of the
undisturbed one, bit for bit. Half the kills hit the main process alone, half the whole group. Exit code 0 if nothing
was lost.
"""

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data_makers import coco, jpegs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from inpaint import checkpoints  # noqa: E402
from models import DECODERS  # noqa: E402

SMALL = "--size xs --batch-size 4 --use-captions --shift 2 --val-limit 8 --precision fp32"
LENGTH = "--steps 40 --checkpoint-every 3 --evaluate-every 10"


class Lost(Exception):
    """Something that was whole is no longer, or a result differs."""


class Build:
    name = "build"

    def __init__(self, root):
        self.source = root / "photos"
        if not self.source.exists():
            coco(self.source, {"train2014": jpegs(1200), "val2014": jpegs(100, "v")})

    def command(self, folder):
        return ["data_prep/build_h5.py", "--coco", self.source, "--out", folder / "file.h5", "--workers", "2"]

    def results(self, folder):
        """Name -> digest of each thing that is there and finished; those of a run to the end are all of them."""
        return digests(folder, "file.h5", "file.rejects.csv")


class Training:
    def __init__(self, data, decoder):
        self.data, self.decoder = data, decoder
        self.name = f"training of {decoder}"
        self.seen = {}  # folder -> the latest step that a checkpoint was seen to hold

    def command(self, folder):
        words = ["train_inpaint.py", "--out", folder / "run"]
        if (folder / "run" / "last.pt").exists():
            return [*words, "--resume"]
        likelihood = "bernoulli" if self.decoder == "contour" else "logistic-mixture"
        words += ["--data", self.data, "--decoder", self.decoder, "--likelihood", likelihood]
        return [*words, *SMALL.split(), *LENGTH.split()]

    def results(self, folder):
        """The weights, the optimizer and what TensorBoard shows, of a run that is done; the step must never fall."""
        last = folder / "run" / "last.pt"
        if not last.exists():
            if self.seen.get(folder):
                raise Lost(f"{last} has gone")
            return {}
        state = checkpoints.read(last)
        step = state["progress"]["step"]
        if step < self.seen.get(folder, 0):
            raise Lost(f"{last} fell from step {self.seen[folder]} to {step}")
        self.seen[folder] = step
        if step < 40:
            return {}
        best = checkpoints.read(folder / "run" / "best.pt")
        values = {f"last.pt {key}": of_tensors(state[key]) for key in ("weights", "averaged", "optimizer")}
        values["best.pt"] = of_tensors(best["averaged"])
        log = EventAccumulator(str(folder / "run"), size_guidance={"scalars": 0}).Reload()
        for tag in log.Tags()["scalars"]:
            if not tag.endswith("images_per_second"):
                values[tag] = repr([(event.step, event.value) for event in log.Scalars(tag)])
        return values


class Evaluation:
    name = "evaluation"

    def __init__(self, data, checkpoint):
        self.data, self.checkpoint = data, checkpoint

    def command(self, folder):
        words = ["evaluate.py", self.checkpoint, "--data", self.data, "--samples", "1"]
        return [*words, "--json", folder / "out.json", "--grid", folder / "grid.png", "--report", folder]

    def results(self, folder):
        return digests(folder, "out.json", "grid.png", "report.html")


def digests(folder, *names):
    """SHA-256 of each file that is there, the speed that an evaluation states left out."""
    found = {}
    for name in names:
        if (folder / name).exists():
            content = (folder / name).read_bytes()
            if name.endswith(".json"):
                json.loads(content)  # whole
            content = re.sub(rb'"images_per_second": [0-9.e+-]+', b"", content)
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def of_tensors(value):
    """A digest of every tensor and number in nested dicts and lists."""
    if isinstance(value, dict):
        return repr({key: of_tensors(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return repr([of_tensors(item) for item in value])
    return hashlib.sha256(value.numpy().tobytes()).hexdigest() if hasattr(value, "numpy") else repr(value)


def run(job, folder, patience=None, whole_group=True):
    """Start a job; kill it after `patience` seconds unless it has ended. Returns whether it ended by itself."""
    words = [sys.executable, *map(str, job.command(folder))]
    with (folder / "output.txt").open("ab") as output:
        process = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
            process.wait()
            wait_for_group(process.pid, job)
            return False
    if process.returncode:
        raise Lost(f"{job.name} ended with {process.returncode}: {(folder / 'output.txt').read_text()[-2000:]}")
    return True


def wait_for_group(group, job, seconds=30):
    """Lost, unless every process of the group ends within so many seconds."""
    for _ in range(seconds * 20):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise Lost(f"{job.name}: processes of group {group} outlived their parent")


def soak(job, root, kills, rng):
    """Kill one job so many times. Returns how often it ran to the end."""
    folder = root / job.name / "undisturbed"
    folder.mkdir(parents=True)
    began = time.monotonic()
    run(job, folder)
    length = time.monotonic() - began
    wanted = job.results(folder)
    killed = finished = 0
    while killed < kills:
        folder = root / job.name / str(finished)
        folder.mkdir()
        while not run(job, folder, rng.uniform(0, length) if killed < kills else None, rng.random() < 0.5):
            killed += 1
            compare(job, job.results(folder), wanted)
            print(f"\r{job.name}: {killed} of {kills} kills", end="", file=sys.stderr, flush=True)
        results = job.results(folder)
        if results.keys() != wanted.keys():
            raise Lost(f"{job.name}: {sorted(results)} are there, {sorted(wanted)} should be")
        compare(job, results, wanted)
        finished += 1
    print(f"\r{job.name}: {killed} kills, {finished} runs to the end, {len(wanted)} results each, all as undisturbed")
    return finished


def compare(job, results, wanted):
    for name, value in results.items():
        if value != wanted[name]:
            raise Lost(
                f"{job.name}: {name} differs from the undisturbed run's: {value[:300]}, not {wanted[name][:300]}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="how many in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="a new folder to work in, kept (default: one that is removed)")
    parser.add_argument("--decoders", nargs="+", default=DECODERS, choices=DECODERS, help="to train (default: all)")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = (options.folder or Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        try:
            shares = 2 + len(options.decoders)
            share = [options.kills * (i + 1) // shares - options.kills * i // shares for i in range(shares)]
            soak(Build(root), root, share[0], rng)
            data = root / "build" / "undisturbed" / "file.h5"
            for decoder, kills in zip(options.decoders, share[1:-1], strict=True):
                soak(Training(data, decoder), root, kills, rng)
            trained = root / f"training of {options.decoders[0]}" / "undisturbed" / "run" / "best.pt"
            soak(Evaluation(data, trained), root, share[-1], rng)
        except Lost as loss:
            sys.exit(f"lost: {loss}")
    print(f"{options.kills} kills, 0 lost, every result bit-identical")


if __name__ == "__main__":
    main()
