"""The count of fuzz cases at the end of a run; small good inputs to be damaged; a build over an earlier file."""

import numpy as np
import pytest
from fuzzing import CASES, HOLE, SIZE, run
from PIL import Image

from data_prep.h5file import describe

LEAST = {  # cases that a file of tests must try
    "test_fuzz_checkpoint_bombs": 100,
    "test_fuzz_checkpoints": 600,
    "test_fuzz_hdf5": 700,
    "test_fuzz_hdf5_links": 600,
    "test_fuzz_options": 2000,
    "test_fuzz_outputs": 400,
    "test_fuzz_photos": 800,
    "test_fuzz_pickle_bombs": 25,
    "test_fuzz_plain_data": 200,
    "test_fuzz_printed": 150,
    "test_fuzz_special_files": 100,
    "test_fuzz_processes": 20,
    "test_fuzz_report": 250,
}


def pytest_terminal_summary(terminalreporter):
    if CASES:
        subjects = ", ".join(f"{subject} {count:,}" for subject, count in sorted(CASES.items()))
        terminalreporter.write_line(f"fuzz: {CASES.total():,} cases of bad input ({subjects})")


@pytest.fixture(scope="module", autouse=True)
def enough_cases(request):
    """A file of tests that ran whole must have tried its number of cases."""
    before = CASES.total()
    yield
    asked = request.config
    some = asked.option.keyword or asked.option.markexpr == "slow" or any("::" in argument for argument in asked.args)
    if not some:
        assert CASES.total() - before >= LEAST.get(request.module.__name__, 0)


@pytest.fixture(scope="session")
def small():
    """The options that make build_h5.py quick: tiny images, one worker."""
    return ["--image-size", SIZE, "--hole", ",".join(map(str, HOLE)), "--workers", 1]


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of four good photos in each split, each with a caption beside it."""
    root = tmp_path_factory.mktemp("good")
    for split in ("train", "val", "test"):
        (root / split).mkdir()
        for number in range(4):
            pixels = np.random.default_rng([number, len(split)]).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
            Image.fromarray(pixels).save(root / split / f"{split}{number}.png")
            (root / split / f"{split}{number}.txt").write_text(f"a {split} photo, number {number}")
    return root


@pytest.fixture(scope="session")
def good_file(photos, small, tmp_path_factory):
    """An HDF5 file of these photos."""
    path = tmp_path_factory.mktemp("file") / "good.h5"
    assert run("build", "--folder", photos, "--out", path, *small).code == 0
    return path


@pytest.fixture(scope="session")
def good_checkpoint(tmp_path_factory):
    """The contents of a checkpoint of a tiny model with captions, for images of SIZE; a dict to be copied."""
    import torch

    from inpaint import checkpoints
    from models import build

    torch.manual_seed(0)
    model = build("contour", "categorical", "xs", SIZE, HOLE)
    return {
        "model": model.config,
        "weights": {},
        "averaged": checkpoints.to_cpu(model.state_dict()),
        "config": {},
        "progress": {"step": 3, "seconds": 1.0, "best": 5.0, "skipped": 0},
    }


@pytest.fixture(scope="session")
def checkpoint_file(good_checkpoint, tmp_path_factory):
    """That checkpoint as a file."""
    from inpaint import checkpoints

    path = tmp_path_factory.mktemp("checkpoint") / "good.pt"
    checkpoints.save(path, good_checkpoint)
    return path


@pytest.fixture
def build(tmp_path, small, good_file):
    """Build a source into a place where an earlier file stands: it is replaced by a whole one, or left alone."""
    before = good_file.read_bytes()

    def build(*source, name):
        out = tmp_path / "out" / "out.h5"
        out.parent.mkdir(exist_ok=True)
        out.write_bytes(before)
        outcome = run("build", *source, "--out", out, *small, name=name)
        CASES["captions"] += 1
        if outcome.code:
            assert out.read_bytes() == before, name
            return outcome, None
        return outcome, describe(out)

    return build
