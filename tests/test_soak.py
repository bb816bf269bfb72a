"""The soak command in short: some kills, nothing lost."""

import subprocess
import sys

import pytest


def soak(root, *words):
    command = [sys.executable, str(root / "tests" / "soak.py"), "--seed", "1", "--decoders", "contour", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_killed_builds_alone_and_in_pairs_lose_nothing(root):
    said = soak(root, "--kills", "4", "--jobs", "build", "--photos", "300")
    assert "4 kills, 0 lost, every result bit-identical" in said


@pytest.mark.slow
def test_killed_trainings_evaluations_and_fills_lose_nothing(root):
    """Two of each at the same files among them."""
    said = soak(root, "--kills", "8")
    assert "8 kills, 0 lost, every result bit-identical" in said
    for name in ("two builds", "two trainings of contour", "evaluation", "two evaluations", "fill", "two fills"):
        assert f"\n{name}: " in said.replace("\r", "\n")
