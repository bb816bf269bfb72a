"""Grey and binary images: one channel's nats, three channels' pixels."""

import json
import shutil

import h5py
import numpy as np
import pytest
import torch
from checkpoint_makers import save_fresh
from data_makers import run
from every_model import STACKS, kind, name_of, shaken_model
from PIL import Image
from test_image_sets import mnist

import evaluate
import train_inpaint
from data_prep.errors import InputError
from inpaint import checkpoints
from inpaint.__main__ import main as inpaint_main
from inpaint.dataset import Photos, binarized
from inpaint.training import batches as training_batches
from inpaint.training.batches import Batches, shifted
from inpaint.units import bits_per_dim
from models import LIKELIHOODS

SIDE, HOLE = 8, (2, 3, 2, 3)


@pytest.fixture(scope="module")
def grey_file(tmp_path_factory):
    root = tmp_path_factory.mktemp("mnist")
    mnist(root, "train", 40)
    mnist(root, "t10k", 40)
    path = root / "grey.h5"
    done = run("--torchvision", "mnist", "--root", root, "--hole", "4,5,12,9", "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def grey(n, hole=HOLE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = ((SIDE, SIDE), hole[2:])
    return [
        torch.randint(0, 256, (n, 1, *s), dtype=torch.uint8, generator=generator).expand(-1, 3, -1, -1) for s in sizes
    ]


KINDS = [
    *(kind("gated", likelihood) for likelihood in LIKELIHOODS),
    *(kind(decoder, "categorical", levels=4) for decoder in STACKS),
    *(kind("contour", likelihood) for likelihood in LIKELIHOODS),
]


@pytest.mark.parametrize("options", KINDS, ids=name_of)
def test_red_carries_all_the_nats_of_a_grey_image(options):
    model = shaken_model(options, image_size=SIDE, hole=HOLE, channels=1)
    border, center = grey(3)
    with torch.no_grad():
        nats = model.log_prob(border, center, ["a", "b", ""])
        assert (nats[:, 0] < 0).any() and not nats[:, 1:].any()
        colored = center.clone()
        colored[0, 1, 0, 0] ^= 255
        assert model.log_prob(border, colored)[0, 1, 0, 0] == -np.inf
    drawn, scored = model.sample_with_log_prob(border, generator=torch.Generator().manual_seed(0))
    assert (drawn[:, :1] == drawn).all()
    again = model.sample(border, generator=torch.Generator().manual_seed(0), cached=False)
    assert torch.equal(drawn, again)
    if model.likelihood.proper:
        with torch.no_grad():
            torch.testing.assert_close(scored, model.log_prob(border, drawn), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["gaussian", "categorical", "logistic-mixture"])
@pytest.mark.parametrize("decoder", ["gated", "parallel"])
def test_the_probabilities_of_all_grey_centers_of_one_pixel_sum_to_one(decoder, likelihood):
    model = shaken_model(kind(decoder, likelihood), image_size=SIDE, hole=(2, 3, 1, 1), channels=1)
    border = grey(1)[0].expand(256, -1, -1, -1)
    centers = torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1).expand(-1, 3, -1, -1)
    with torch.no_grad():
        total = model.log_prob(border, centers).double().sum((1, 2, 3)).exp().sum().item()
    assert total == pytest.approx(1, abs=1e-5)


def test_bits_per_dim_counts_a_grey_pixel_once():
    assert bits_per_dim(28 * 28 * np.log(2), (0, 0, 28, 28), channels=1) == pytest.approx(1)


def test_threshold_and_draws(grey_file):
    raw = Photos(grey_file, "test").whole(range(40))
    thresholded = Photos(grey_file, "test", "threshold").whole(range(40))
    assert torch.equal(thresholded, (raw > 127).to(torch.uint8) * 255)
    fixed = Photos(grey_file, "test", "fixed")
    first = fixed.whole(range(40))
    assert set(first.unique().tolist()) == {0, 255} and (first == first[:, :1]).all()
    assert torch.equal(first[[7, 3]], fixed.whole([7, 3]))  # the image's own draws, whatever it is read with
    border, center = fixed.images([7, 3])
    assert torch.equal(center, first[[7, 3], :, 4:16, 5:14]) and not border[:, :, 4:16, 5:14].any()
    rank = raw.double().flatten().argsort()
    shares = first.double().flatten()[rank].unflatten(0, (8, -1)).mean(1) / 255
    expected = raw.double().flatten()[rank].unflatten(0, (8, -1)).mean(1) / 255
    torch.testing.assert_close(shares, expected, atol=0.02, rtol=0)


def test_black_is_never_drawn_white_nor_white_black():
    random = np.random.default_rng(0)
    for level in (0, 255):
        image = torch.full((3, 50, 50), level, dtype=torch.uint8)
        assert torch.equal(binarized(image, "fixed", random, 3), image)


def test_dynamic_draws_anew_each_epoch_and_the_same_for_the_same_step(grey_file):
    photos = Photos(grey_file, "test", "dynamic")

    def centers(epoch, seed=0):
        batch = Batches(photos, len(photos), seed, flip=False)[epoch]
        order = np.argsort([image for _, image in Batches(photos, len(photos), seed).members(epoch)])
        return batch.center[order]

    assert torch.equal(centers(1), centers(1))
    assert not torch.equal(centers(0), centers(1)) and not torch.equal(centers(0), centers(0, seed=1))
    assert torch.equal(photos.whole([5]), Photos(grey_file, "test", "fixed").whole([5]))  # what is evaluated


def test_shifts_never_bring_the_unknown_into_the_hole(grey_file, monkeypatch):
    moved = []

    def watched(*arguments):
        moved.append(shifted(*arguments))
        return moved[-1]

    monkeypatch.setattr(training_batches, "shifted", watched)
    batches = Batches(Photos(grey_file, "test"), 40, 0, flip=False, shift=28)
    made = [batches[step] for step in range(5)]
    assert len(moved) == 200 and all(known[:, 4:16, 5:14].all() for _, known in moved)
    assert not all(known.all() for _, known in moved)
    assert not any(batch.known[:, :, 4:16, 5:14].any() for batch in made)  # all of the hole is to be drawn


def test_brightening_keeps_a_grey_image_grey(grey_file):
    batch = Batches(Photos(grey_file, "test"), 40, 0, jitter=0.3)[0]
    for images in (batch.border, batch.center):
        assert torch.equal(images, images[:, :1].expand_as(images))
    still = Batches(Photos(grey_file, "test"), 40, 0)[0]
    assert not torch.equal(batch.center, still.center)


def command(main, *words):
    main(list(map(str, words)))


@pytest.fixture
def binary(tmp_path):
    """Writes a checkpoint for the grey file of a model that learnt on images binarized so."""

    def write(how, **options):
        path = tmp_path / f"{options.get('channels', 1)} of {how}.pt"
        kind = {"likelihood": "bernoulli", "levels": 2, "image_size": 28, "hole": (4, 5, 12, 9), "channels": 1}
        save_fresh(path, **{**kind, **options})
        state = checkpoints.read(path)
        checkpoints.save(path, {**state, "config": {**state["config"], "binarize": how}})
        return path

    return write


def test_a_model_of_grey_images_is_not_scored_on_colors(tmp_path, grey_file):
    path = tmp_path / "best.pt"
    save_fresh(path, image_size=28, hole=(4, 5, 12, 9))  # of colors
    with pytest.raises(InputError, match="grey"):
        command(evaluate.main, "--checkpoint", path, "--data", grey_file)


def test_models_are_compared_only_where_both_read_the_same_pixels(tmp_path, grey_file, binary):
    one = ["--checkpoint", binary("threshold"), "--data", grey_file, "--split", "test"]
    with pytest.raises(InputError, match="binarized in another way"):
        command(evaluate.main, *one, "--versus", binary("fixed"))
    with pytest.raises(InputError, match="one is for grey images, the other for color"):
        command(evaluate.main, *one, "--versus", binary("threshold", channels=3))
    out = tmp_path / "out.json"
    command(evaluate.main, *one, "--versus", binary("threshold"), "--json", out)
    assert json.loads(out.read_text(encoding="utf-8"))["binarize"] == "threshold"


def test_fill_shows_a_binary_model_black_and_white(tmp_path, binary):
    grey = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    for name, pixels in {"grey": grey, "binary": (grey > 127).astype(np.uint8) * 255}.items():
        Image.fromarray(pixels).convert("RGB").save(tmp_path / f"{name}.png")
    photos, out = [tmp_path / "grey.png", tmp_path / "binary.png"], tmp_path / "filled"
    words = [*photos, "--checkpoint", binary("threshold"), "--samples", 2, "--out", out]
    command(inpaint_main, "fill", *words)
    one, other = (json.loads((out / f"{name}.json").read_text(encoding="utf-8")) for name in ("grey", "binary"))
    nats = [[sample["log_likelihood_nats"] for sample in record["samples"]] for record in (one, other)]
    assert nats[0] == nats[1] and one["binarize"] == "threshold"
    filled = np.asarray(Image.open(out / "grey_0.png"))
    known = np.ones((28, 28), bool)
    known[4:16, 5:14] = False
    assert (filled[known] == grey[known][:, None]).all()  # as it was


def test_a_run_is_not_resumed_on_images_binarized_in_another_way(tmp_path, grey_file):
    words = ["--data", grey_file, "--likelihood", "bernoulli", "--levels", 2, "--size", "xs", "--batch-size", 4]
    words += ["--binarize", "fixed", "--steps", 1, "--val-limit", 2, "--out", tmp_path / "run"]
    command(train_inpaint.main, *words)
    again = ["--out", tmp_path / "run", "--resume", "--steps", 2]
    with pytest.raises(InputError, match="binarize 'threshold', was 'fixed'"):
        command(train_inpaint.main, *again, "--binarize", "threshold")
    command(train_inpaint.main, *again)


def test_a_size_that_no_tower_can_halve_is_told(tmp_path):
    mnist(tmp_path)
    path = tmp_path / "odd.h5"
    done = run("--torchvision", "mnist", "--root", tmp_path, "--image-size", 21, "--out", path)
    assert done.returncode == 0, done.stderr
    with pytest.raises(InputError, match=f"{path}: no model for its images: image_size must be even, not 21"):
        command(train_inpaint.main, "--data", path, "--steps", 1, "--out", tmp_path / "run")


def test_a_file_of_two_channels_is_refused(tmp_path, grey_file):
    path = tmp_path / "two.h5"
    shutil.copyfile(grey_file, path)
    with h5py.File(path, "r+") as file:
        file.attrs["channels"] = 2
    with pytest.raises(InputError, match="channels"):
        Photos(path, "test")
