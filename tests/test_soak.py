"""The soak command in short: a dozen kills, nothing lost."""

import subprocess
import sys


def test_killed_builds_trainings_and_evaluations_lose_nothing(root):
    done = subprocess.run(
        [sys.executable, str(root / "tests" / "soak.py"), "--kills", "9", "--seed", "1", "--decoders", "contour"],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "9 kills, 0 lost, every result bit-identical" in done.stdout
