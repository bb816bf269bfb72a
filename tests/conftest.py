"""What every test may lean on: the repository root and, where they are at hand, real photos."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Side by side (pytest -n), each worker and what it starts take their share of the cores.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
if WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root():
    """The repository root, a Path."""
    return ROOT


@pytest.fixture(scope="session")
def real_data():
    """`real_data("flickr8k64")` is that folder of real photos as a Path; the test is skipped where it is absent.

    The folders lie in $INPAINT_DATA, `../shared/data` relative to the repository root by default.
    """
    data = ROOT / os.environ.get("INPAINT_DATA", "../shared/data")

    def folder(name):
        if not (data / name).is_dir():
            pytest.skip(f"no real photos here: set INPAINT_DATA to a folder that holds {name}/")
        return data / name

    return folder


@pytest.fixture(scope="session")
def demo_file(tmp_path_factory):
    """A small demo set, 40 scenes a split, built once by the real command."""
    path = tmp_path_factory.mktemp("demo") / "demo.h5"
    command = [sys.executable, ROOT / "data_prep" / "build_h5.py", "--demo", "--limit", "40", "--out", path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path
