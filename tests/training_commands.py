"""The command line of short trainings, and processes that run it: what the tests of training share."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from inpaint import checkpoints

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["--size", "xs", "--batch-size", "4", "--steps", "12", "--checkpoint-every", "2", "--evaluate-every", "5"]
SMALL += ["--val-limit", "4", "--use-captions", "--shift", "3", "--precision", "fp32", "--warmup", "2"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of what is started: several processes share the cores


def command(data, out, *more, launcher=()):
    """The words of a training of twelve steps on `data`; `launcher` stands before the script."""
    program = [sys.executable, *launcher, str(ROOT / "train_inpaint.py")]
    return [*program, "--data", str(data), "--out", str(out), *SMALL, *map(str, more)]


def run(words, **options):
    """Run a command to its end."""
    return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=280, **options)


def hears_ctrl_c():
    """In a new process: Ctrl-C is heard, though whoever runs the tests may have it ignored, as a shell's `&` does."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(words, **options):
    """A command in the background, with both outputs piped as text."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "preexec_fn": hears_ctrl_c}
    return subprocess.Popen([*map(str, words)], **pipes | options)


def wait_until(condition, process=None, seconds=100):
    """Wait until `condition()` is true, or the process has ended."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition() or (process is not None and process.poll() is not None):
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to be")


def children(pid, word=b"train_inpaint"):
    """Process ids of the children whose command line has `word` in it."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if word in Path(f"/proc/{child}/cmdline").read_bytes()]


def step_of(folder, name="last.pt"):
    """The step that a checkpoint holds."""
    return checkpoints.read(Path(folder) / name)["progress"]["step"]
