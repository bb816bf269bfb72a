"""Running the programs on bad input, and damaging good input in every way: what the fuzz tests share.

A case is one input that is given to a program's own `main`, in this process, as its script would. It must end in
success or in one line on stderr and exit code 1 (the input) or 2 (the command line); an exception would be a traceback
to the user and fails the test. What is random is seeded by the case's name, so every run tries the same cases.
"""

import importlib
import io
import os
import resource
import signal
import sys
import time
import warnings
import zlib
from collections import Counter
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np

from data_prep.errors import run_main

PROGRAMS = {
    "build": "data_prep.build_h5",
    "train": "train_inpaint",
    "evaluate": "evaluate",
    "inpaint": "inpaint.__main__",
}
SIZE, HOLE = 16, (4, 4, 8, 8)  # of the images here, in pixels
CPU_LIMIT = 30  # seconds of this process's own computing for one case: far above any, far below a hang
CASES = Counter()  # cases run so far, by subject
REMARKS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)  # Python does not show them


@dataclass(frozen=True)
class Outcome:
    """How a program ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


class Attack:
    """Pickled, it is the order to make a folder: `mark` exists once somebody has obeyed."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def run(program, *arguments, name=""):
    """Run one case and check that it ends as the contract says.

    Args:
      program: a key of PROGRAMS. arguments: its command line. name: the case, for the message of a failure.
    Returns:
      the Outcome, whose code is 0, 1 or 2.
    """
    main = importlib.import_module(PROGRAMS[program]).main
    words = [os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in arguments]
    case = f"{program} {name or ' '.join(words)}"
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    handler, began = signal.getsignal(signal.SIGTERM), time.process_time()
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        try:
            run_main(main, words)
        except SystemExit as left:
            code = left.code
        except Exception as error:
            raise AssertionError(f"{case}: a traceback, {type(error).__name__}") from error
        finally:
            signal.signal(signal.SIGTERM, handler)
    spent = time.process_time() - began
    outcome = Outcome(code, *(_text(stream) for stream in (out, err)))
    shown = [str(remark.message) for remark in warned if not issubclass(remark.category, REMARKS)]
    assert spent < CPU_LIMIT, f"{case}: {spent:.0f} s"
    assert_contract(outcome, case)
    assert code == 0 or not shown, f"{case}: more than one line: {shown}"
    return outcome


@contextmanager
def memory_limited(extra):
    """This process may take `extra` bytes more than it has now, where the system can limit that and tells what it has.
    A program that asks for more says "not enough memory", or its like, and not the reason that a test looks for."""
    if not sys.platform.startswith("linux"):
        yield
        return
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def assert_contract(outcome, case):
    """An Outcome is success, one line and exit code 1, or argparse's refusal and exit code 2."""
    lines = outcome.err.splitlines()
    told = f"{case}: exit code {outcome.code}\n{outcome.err[-2000:]}"
    assert outcome.code in (0, 1, 2), told
    assert "Traceback" not in outcome.err and "worker process ended by itself" not in outcome.err, told
    if outcome.code == 1:
        assert len(lines) == 1 and lines[0].startswith("error: ") and len(lines[0]) > 20, told
    if outcome.code == 2:
        assert lines[0].startswith("usage: ") and ": error: " in outcome.err, told


def failed_in_one_line(outcome, *words):
    """Whether a case was refused with exit code 1, in a line that has all of `words`."""
    return outcome.code == 1 and all(str(word) in outcome.err for word in words)


def seeded(name):
    """The random generator of a case: the same numbers for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def truncated(data, count):
    """`data` cut short at `count` places spread over all of it, the first at zero: (name, bytes) of each."""
    for length in np.linspace(0, len(data) - 1, count).astype(int).tolist():
        yield f"cut-{length}", data[:length]


def damaged(data, count, name, spots=((0.0, 1.0),)):
    """`data` with flipped bits, smeared runs, pieces left out and pieces repeated, in turn: (name, bytes) of each.

    Args:
      name: what seeds the damage. spots: where it begins: shares of the length, (first, last), one drawn each time.
    """
    random = seeded(name)
    for number in range(count):
        first, last = spots[random.integers(len(spots))]
        at = min(int(random.uniform(first, last) * len(data)), len(data) - 1)
        length = int(random.integers(1, 33))
        kind = ("flip", "flip", "smear", "gap", "repeat")[number % 5]
        changed = bytearray(data)
        if kind == "flip":
            changed[at] ^= 1 << int(random.integers(8))
        elif kind == "smear":
            changed[at : at + length] = random.bytes(len(changed[at : at + length]))
        elif kind == "gap":
            del changed[at : at + length]
        else:
            changed[at:at] = changed[at : at + length]
        if changed != data:
            yield f"{kind}-{number}-at-{at}", bytes(changed)


def _text(stream):
    stream.flush()
    return stream.buffer.getvalue().decode()
