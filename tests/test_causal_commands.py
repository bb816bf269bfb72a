"""Each causal decoder through the commands, as a user runs them: train, evaluate, fill."""

import json

import numpy as np
import pytest
import torch
from data_makers import coco, jpegs
from every_model import STACKS, kind, name_of
from PIL import Image

import evaluate
import train_inpaint
from data_prep import build_h5
from inpaint import checkpoints
from inpaint.__main__ import main

KINDS = [*(kind(decoder, "logistic-mixture") for decoder in STACKS), kind("gated", "bernoulli")]


def command(main, *words):
    assert not main(list(map(str, words)))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    coco(folder / "coco", {"train2014": jpegs(12), "val2014": jpegs(5, "v")})
    path, geometry = folder / "photos.h5", ["--image-size", 32, "--hole", "12,12,8,8"]
    command(build_h5.main, "--coco", folder / "coco", *geometry, "--out", path)
    return path


@pytest.mark.parametrize("options", KINDS, ids=name_of)
def test_a_causal_decoder_trains_is_evaluated_and_fills(options, photos, tmp_path, capsys):
    levels = options.get("levels", 256)
    words = ["--decoder", options["decoder"], "--likelihood", options["likelihood"], "--levels", levels]
    length = ["--steps", 2, "--batch-size", 4, "--val-limit", 4]
    run = tmp_path / "run"
    command(train_inpaint.main, "--data", photos, *words, *length, "--size", "xs", "--use-captions", "--out", run)

    out, grid = tmp_path / "val.json", tmp_path / "val.png"
    best = run / "best.pt"
    command(evaluate.main, "--checkpoint", best, "--json", out, "--grid", grid, "--samples", 2, "--batch-size", 3)
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (found["decoder"], found["levels"], found["psnr_db"]) == (options["decoder"], levels, None)
    assert found["bits_per_dim"] > 0 and found["bernoulli_cross_entropy"] is None
    assert grid.stat().st_size > 1000

    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    capsys.readouterr()
    fill = [main, "fill", "--checkpoint", best, "--caption", "a red disc", "--samples", 2]
    command(*fill, "--out", tmp_path / "filled", tmp_path / "photo.png")
    record = json.loads((tmp_path / "filled" / "photo.json").read_text(encoding="utf-8"))
    nats = [sample["log_likelihood_nats"] for sample in record["samples"]]
    assert nats[0] > nats[1] and record["levels"] == levels
    assert record["log_likelihood_is"] == f"of {'8-bit values' if levels == 256 else 'values of 2 levels'}, in nats"
    assert "mean" not in capsys.readouterr().err  # these are samples
    command(*fill, "--precision", "fp32", "--out", tmp_path / "quick", tmp_path / "photo.png")
    quick = json.loads((tmp_path / "quick" / "photo.json").read_text(encoding="utf-8"))
    assert (record["precision"], quick["precision"]) == ("fp64", "fp32")
    first, second = (np.asarray(Image.open(tmp_path / "filled" / f"photo_{k}.png")) for k in range(2))
    Image.fromarray(photo[::-1]).save(tmp_path / "another.png")
    command(*fill, "--out", tmp_path / "both", tmp_path / "photo.png", tmp_path / "another.png")
    for name in ("photo_0.png", "photo_1.png", "photo.json"):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "filled" / name).read_bytes()
    known = np.ones((32, 32), bool)
    known[12:20, 12:20] = False
    assert (first[known] == photo[known]).all() and (first[~known] != second[~known]).any()


@pytest.mark.parametrize(
    "decoder",
    [
        pytest.param(name, marks=[] if name in ("gated", "pixelcnn", "multiscale") else pytest.mark.slow)
        for name in STACKS
    ],
)
def test_a_causal_decoder_resumed_equals_one_that_never_stopped(decoder, photos, tmp_path):
    words = ["--decoder", decoder, "--likelihood", "categorical", "--levels", 4, "--size", "xs", "--batch-size", 4]
    words += ["--schedule", "constant", "--warmup", 1, "--val-limit", 2, "--use-captions", "--data", photos]
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    command(train_inpaint.main, *words, "--steps", 4, "--out", whole)
    command(train_inpaint.main, *words, "--steps", 2, "--out", halves)
    command(train_inpaint.main, "--out", halves, "--resume", "--steps", 4)
    one, other = (checkpoints.read(run / "last.pt") for run in (whole, halves))
    assert one["progress"]["step"] == other["progress"]["step"] == 4
    for part in ("weights", "averaged"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part])
