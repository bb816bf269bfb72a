"""What every test may lean on: the repository root and, where they are at hand, real photos."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
