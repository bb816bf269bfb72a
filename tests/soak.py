"""Kill builds, trainings, evaluations and fills at random moments, over and over, and see that nothing is ever lost.

    python tests/soak.py [--kills 300] [--seed 0] [--photos 1200] [--folder DIR]

Each job first runs undisturbed. Then the same job runs again in a folder of its own, is killed with SIGKILL after a
random time, and is started again, until it ends by itself; then the next folder. After every kill what was whole
before must still be whole, and no process may be left behind; at the end of a run its results must be those of the
undisturbed one, bit for bit. Half the kills hit the main process alone, half the whole group.

Some jobs are two processes at the same files, started together: each of them must end well, or be refused in one line
where only one may write. Of half the kills, one of the two is spared and ends by itself. Exit code 0 if nothing was
lost.
"""

import argparse
import hashlib
import json
import math
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


class Job:
    """A command that is killed and started again. `name` says what it is.

    processes: how many of it are started at once. refusal: what the line of one says that another may refuse, if any.
    """

    processes, refusal = 1, None


class Build(Job):
    refusal = "another build is writing it"

    def __init__(self, root, photos, processes=1):
        self.processes, self.name = processes, "build" if processes == 1 else "two builds"
        self.source = root / "photos"
        if not self.source.exists():
            coco(self.source, {"train2014": jpegs(photos), "val2014": jpegs(100, "v")})

    def command(self, folder):
        return ["data_prep/build_h5.py", "--coco", self.source, "--out", folder / "file.h5", "--workers", "2"]

    def results(self, folder):
        """Name -> digest of each thing that is there and finished; those of a run to the end are all of them."""
        return digests(folder, "file.h5", "file.rejects.csv")


class Training(Job):
    refusal = "run"

    def __init__(self, data, decoder, processes=1):
        self.data, self.decoder, self.processes = data, decoder, processes
        self.name = f"training of {decoder}" if processes == 1 else f"two trainings of {decoder}"
        self.seen = {}  # folder -> the latest step that a checkpoint was seen to hold

    def command(self, folder):
        words = ["train_inpaint.py", "--out", folder / "run", "--resume"]  # begins a run, and continues it
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


class Evaluation(Job):
    def __init__(self, data, checkpoint, processes=1):
        self.data, self.checkpoint, self.processes = data, checkpoint, processes
        self.name = "evaluation" if processes == 1 else "two evaluations"

    def command(self, folder):
        words = ["evaluate.py", self.checkpoint, "--data", self.data, "--samples", "1"]
        return [*words, "--json", folder / "out.json", "--grid", folder / "grid.png", "--report", folder]

    def results(self, folder):
        return digests(folder, "out.json", "grid.png", "report.html")


class Fill(Job):
    def __init__(self, photos, checkpoint, processes=1):
        self.photos, self.checkpoint, self.processes = photos, checkpoint, processes
        self.name = "fill" if processes == 1 else "two fills"

    def command(self, folder):
        words = ["-m", "inpaint", "fill", *self.photos, "--checkpoint", self.checkpoint, "--samples", "2"]
        return [*words, "--caption", "a photo", "--out", folder / "filled"]

    def results(self, folder):
        ends = ("_0.png", "_1.png", "_grid.png", ".json")
        return digests(folder / "filled", *(photo.stem + end for photo in self.photos for end in ends))


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


def run(job, folder, patience=None, whole_group=True, spare=False):
    """Start a job's processes; kill them after `patience` seconds unless they have ended.

    Args:
      whole_group: whether what a process started is killed too. spare: whether the last one is left to end by itself.
    Returns:
      whether one has ended by itself, and done the work.
    """
    words = [sys.executable, *map(str, job.command(folder))]
    outputs = [folder / f"output-{number}.txt" for number in range(job.processes)]
    started = []
    for path in outputs:
        with path.open("w") as output:
            started.append(
                subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)  # a group each
            )
    deadline = math.inf if patience is None else time.monotonic() + patience
    while any(process.poll() is None for process in started) and time.monotonic() < deadline:
        time.sleep(0.005)
    killed = []
    for process in started[:-1] if spare and len(started) > 1 else started:
        if process.poll() is None:
            (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
            killed.append(process)
    for process in started:
        process.wait()
        wait_for_group(process.pid, job)
    return ended_well(job, [pair for pair in zip(started, outputs, strict=True) if pair[0] not in killed])


def ended_well(job, ended):
    """Whether one of the processes that ended by themselves did the work; Lost where one failed otherwise than by being
    refused."""
    for process, output in ended:
        text = output.read_text()
        refused = process.returncode == 1 and job.processes > 1 and job.refusal and job.refusal in text
        if process.returncode and not (refused and text.startswith("error: ") and text.count("\n") == 1):
            raise Lost(f"{job.name} ended with {process.returncode}: {text[-2000:]}")
    return any(process.returncode == 0 for process, _ in ended)


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
        while not run(job, folder, *moment(rng, length if killed < kills else None)):
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


def moment(rng, length):
    """When to kill, whether the whole group, and whether to spare one of two; no kill where `length` is None."""
    patience, whole_group, spare = rng.uniform(0, length or 0), rng.random() < 0.5, rng.random() < 0.5
    return None if length is None else patience, whole_group, spare


def compare(job, results, wanted):
    for name, value in results.items():
        if value != wanted[name]:
            raise Lost(
                f"{job.name}: {name} differs from the undisturbed run's: {value[:300]}, not {wanted[name][:300]}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300, help="how many in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="a new folder to work in, kept (default: one that is removed)")
    parser.add_argument("--decoders", nargs="+", default=DECODERS, choices=DECODERS, help="to train (default: all)")
    parser.add_argument("--photos", type=int, default=1200, help="to build the training set of (default: %(default)s)")
    parser.add_argument("--jobs", metavar="WORD", default="", help="kill only jobs with this in their names")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = (options.folder or Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        try:
            killed = soak_all(root, options, rng)
        except Lost as loss:
            sys.exit(f"lost: {loss}")
    print(f"{killed} kills, 0 lost, every result bit-identical")


def soak_all(root, options, rng):
    """Every job in turn, each with its share of the kills; how many there were."""
    first = options.decoders[0]
    data = root / "build" / "undisturbed" / "file.h5"
    trained = root / f"training of {first}" / "undisturbed" / "run" / "best.pt"
    jobs = [
        Build(root, options.photos),
        Build(root, options.photos, 2),
        *(Training(data, decoder) for decoder in options.decoders),
    ]
    photos = sorted((root / "photos" / "val2014").iterdir())[:12]
    for processes in (1, 2):
        jobs += [Evaluation(data, trained, processes), Fill(photos, trained, processes)]
    jobs.append(Training(data, first, 2))
    wanted = [job for job in jobs if options.jobs in job.name]
    needed = [jobs[0]] + [jobs[2]] * any(isinstance(job, Evaluation | Fill) for job in wanted)  # data and checkpoint
    killed = 0
    for job in jobs:
        share = 0
        if job in wanted:
            place = wanted.index(job)
            share = options.kills * (place + 1) // len(wanted) - options.kills * place // len(wanted)
        if share or job in needed:
            soak(job, root, share, rng)
        killed += share
    return killed


if __name__ == "__main__":
    main()
