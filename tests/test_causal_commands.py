"""Each causal decoder through the commands, as a user runs them: train, evaluate, fill."""

import json
import subprocess
import sys

import numpy as np
import pytest
from data_makers import coco, jpegs
from every_model import STACKS, kind, name_of
from PIL import Image

KINDS = [*(kind(decoder, "logistic-mixture") for decoder in STACKS), kind("gated", "bernoulli")]


@pytest.fixture(scope="module")
def command(root):
    def run(*words):
        done = subprocess.run([sys.executable, *map(str, words)], cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def photos(command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    coco(folder / "coco", {"train2014": jpegs(12), "val2014": jpegs(5, "v")})
    path, geometry = folder / "photos.h5", ["--image-size", 32, "--hole", "12,12,8,8"]
    command("data_prep/build_h5.py", "--coco", folder / "coco", *geometry, "--out", path)
    return path


@pytest.mark.parametrize("options", KINDS, ids=name_of)
def test_a_causal_decoder_trains_is_evaluated_and_fills(options, photos, command, tmp_path):
    levels = options.get("levels", 256)
    words = ["--decoder", options["decoder"], "--likelihood", options["likelihood"], "--levels", levels]
    length = ["--steps", 2, "--batch-size", 4, "--val-limit", 4]
    run = tmp_path / "run"
    command("train_inpaint.py", "--data", photos, *words, *length, "--size", "xs", "--use-captions", "--out", run)

    out, grid = tmp_path / "val.json", tmp_path / "val.png"
    best = run / "best.pt"
    command("evaluate.py", "--checkpoint", best, "--json", out, "--grid", grid, "--samples", 2, "--batch-size", 3)
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (found["decoder"], found["levels"], found["psnr_db"]) == (options["decoder"], levels, None)
    assert found["bits_per_dim"] > 0 and found["bernoulli_cross_entropy"] is None
    assert grid.stat().st_size > 1000

    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    fill = ["-m", "inpaint", "fill", tmp_path / "photo.png", "--checkpoint", best, "--caption", "a red disc"]
    done = command(*fill, "--samples", 2, "--out", tmp_path / "filled")
    record = json.loads((tmp_path / "filled" / "photo.json").read_text(encoding="utf-8"))
    nats = [sample["log_likelihood_nats"] for sample in record["samples"]]
    assert nats[0] > nats[1] and record["levels"] == levels
    assert record["log_likelihood_is"] == f"of {'8-bit values' if levels == 256 else 'values of 2 levels'}, in nats"
    assert "mean" not in done.stderr  # these are samples
    first, second = (np.asarray(Image.open(tmp_path / "filled" / f"photo_{k}.png")) for k in range(2))
    known = np.ones((32, 32), bool)
    known[12:20, 12:20] = False
    assert (first[known] == photo[known]).all() and (first[~known] != second[~known]).any()
