"""Photos that kill the process that decodes them, and processes that are killed for other reasons."""

import csv
import os
import signal
import subprocess
import sys

import pytest
from data_makers import encoded, is_one_line, picture
from data_makers import run as build

from data_prep.h5file import describe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fault is put into forked workers")

FAULTY = """
import os, signal, sys
from data_prep import build_h5, shards
from data_prep.errors import run_main

real, flags = shards.decode, sys.argv.pop(1)

def decode(data, *options):
    for word in (b"SIGKILL", b"SIGSEGV"):
        if data.endswith(word):
            os.kill(os.getpid(), getattr(signal, word.decode()))
    if data.endswith(b"once") and not os.path.exists(flags):
        open(flags, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if data.endswith(b"always") or os.path.exists(flags + ".always"):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(data, *options)

shards.decode = decode
run_main(build_h5.main)
"""


@pytest.fixture
def faulty(root, tmp_path):
    """Build a folder of photos, named by what is appended to each, with a decoder that it makes to end its process."""

    def run(*endings, workers=2):
        photos = tmp_path / "photos" / "train"
        photos.mkdir(parents=True, exist_ok=True)
        for number, ending in enumerate(endings):
            (photos / f"{number:03d}{ending}.jpg").write_bytes(encoded(picture(number)) + ending.encode())
        words = ("--folder", photos.parent, "--out", tmp_path / "out.h5", "--workers", str(workers))
        return subprocess.run(
            [sys.executable, "-c", FAULTY, tmp_path / "flag", *words],
            capture_output=True,
            text=True,
            timeout=100,
            env=os.environ | {"PYTHONPATH": str(root)},
        )

    return run


def rejected(tmp_path):
    """Name -> reason of FILE.rejects.csv."""
    with open(tmp_path / "out.rejects.csv", newline="") as file:
        return {row["file"].rsplit("/")[-1]: row["reason"] for row in csv.DictReader(file)}


def images(tmp_path):
    return sum(split.n for split in describe(tmp_path / "out.h5").splits.values())


@pytest.mark.parametrize("which", ["SIGKILL", "SIGSEGV"])
def test_a_photo_that_kills_its_process_is_rejected_and_all_others_are_built(faulty, tmp_path, which):
    endings = ["", "", which, which, *[""] * 40, which, ""]
    done = faulty(*endings)
    assert done.returncode == 0, done.stderr
    reasons = rejected(tmp_path)
    assert sorted(reasons) == [f"{number:03d}{which}.jpg" for number in (2, 3, 44)]
    assert all(f"signal {getattr(signal, which).value}" in reason for reason in reasons.values())
    assert images(tmp_path) == len(endings) - 3
    assert faulty(workers=1).returncode == 0, "the same command again"


def test_a_process_killed_once_costs_no_photo_and_changes_no_byte(faulty, tmp_path):
    done = faulty("", "once", *[""] * 40)
    assert done.returncode == 0 and (tmp_path / "flag").exists(), done.stderr
    assert not rejected(tmp_path) and images(tmp_path) == 42
    bytes_then = (tmp_path / "out.h5").read_bytes()
    assert build("--folder", tmp_path / "photos", "--out", tmp_path / "undisturbed.h5").returncode == 0
    assert bytes_then == (tmp_path / "undisturbed.h5").read_bytes()


def test_processes_killed_wherever_they_are_end_the_build_in_one_line_and_cost_no_photo(faulty, tmp_path):
    (tmp_path / "flag.always").touch()
    done = faulty(*[""] * 60)
    assert is_one_line(done) and "killed again and again" in done.stderr, done.stderr
    (tmp_path / "flag.always").unlink()
    assert faulty().returncode == 0
    assert not rejected(tmp_path) and images(tmp_path) == 60
