"""Nats that are NaN or infinite: one line that names the checkpoint and the image, exit code 1, nothing written."""

import io
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import torch
from checkpoint_makers import fresh_model, save_fresh
from PIL import Image

from data_prep.errors import InputError, run_main
from inpaint import __main__ as inpaint_command
from inpaint import checkpoints, filling
from inpaint.commands import evaluate as command
from inpaint.dataset import Photos
from inpaint.evaluation import scoring, versus
from inpaint.evaluation.caption_figures import CaptionOptions
from inpaint.evaluation.figures import evaluate
from models import Inpainter

FIRST = CaptionOptions("first")


def shell(main, *arguments):
    """(exit code, stdout, stderr) of a command."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        run_main(main, [str(argument) for argument in arguments])
    return left.value.code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The checkpoint of a sound model."""
    path = tmp_path_factory.mktemp("sound") / "sound.pt"
    save_fresh(path, likelihood="categorical")
    return path


@pytest.fixture(scope="module")
def huge(checkpoint, tmp_path_factory):
    """A checkpoint whose weights are finite, each of them, and whose products are not."""
    path = tmp_path_factory.mktemp("huge") / "huge.pt"
    state = checkpoints.read(checkpoint)
    state["averaged"] = {name: weight.sign() * 1e30 for name, weight in state["averaged"].items()}
    checkpoints.save(path, state)
    return path


@pytest.fixture
def spoil(monkeypatch):
    """Make nats `value` for the third center that is scored when `when` allows it: a function of the captions."""

    def spoil(value, when=lambda captions: True):
        true_log_prob, scored = Inpainter.log_prob, [0]

        def log_prob(self, border, center, captions=None, **options):
            nats = true_log_prob(self, border, center, captions, **options)
            if when(captions):
                at, scored[0] = 2 - scored[0], scored[0] + len(border)
                if 0 <= at < len(border):
                    nats[at, 0, 0, 0] = value
            return nats

        monkeypatch.setattr(Inpainter, "log_prob", log_prob)

    return spoil


@pytest.mark.parametrize("outputs", ["table", "report", "versus"])
def test_weights_whose_products_overflow_are_one_line(demo_file, checkpoint, huge, tmp_path, outputs):
    """Neither a table of `nan` nor a page, a grid, a JSON."""
    files = ["--json", tmp_path / "o.json", "--grid", tmp_path / "o.png", "--report", tmp_path / "page"]
    words = {"table": [huge], "report": [huge, *files], "versus": [checkpoint, "--versus", huge, *files]}[outputs]
    code, out, err = shell(command.main, *words, "--data", demo_file, "--limit", 3, "--samples", 1)
    assert code == 1 and out == ""
    assert err.count("\n") == 1 and err.startswith(f"error: {huge}: ")
    assert "image 0 of" in err and "val (demo_val_000000000): nan" in err and "3 of 3 images are not finite" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("error")  # a warning would be a second line
@pytest.mark.parametrize("value", [float("nan"), float("-inf"), float("inf")])
def test_the_one_image_is_named(demo_file, spoil, value):
    spoil(value)
    with pytest.raises(InputError) as refused:
        evaluate(fresh_model(), Photos(demo_file, "test"), limit=5, batch_size=2, name="runs/best.pt", options=FIRST)
    shown = str(refused.value)
    assert shown.startswith("runs/best.pt: not fit for use: its nats of image 2 of ")
    assert f"test (demo_test_000000002): {-value}" in shown and "1 of 5 images" in shown


def test_an_image_counts_once_however_many_of_its_captions_are_not_finite(demo_file, huge):
    photos = Photos(demo_file, "val")
    assert len(photos.captions_of(0)) > 1
    with pytest.raises(InputError, match="image 0 of .* 2 of 2 images are not finite"):
        evaluate(checkpoints.load(huge), photos, limit=2)


def test_nats_without_or_with_a_swapped_caption_count_too(demo_file, spoil):
    photos = Photos(demo_file, "val")
    own = photos.first_captions(np.arange(5))
    spoil(float("nan"), lambda captions: not any(captions))
    with pytest.raises(InputError, match="its nats without a caption of image 2 of"):
        evaluate(fresh_model(), photos, limit=5, options=FIRST)
    spoil(float("nan"), lambda captions: all(captions) and captions != own)
    with pytest.raises(InputError, match="its nats with another image's caption of image 2 of"):
        evaluate(fresh_model(), photos, limit=5, options=FIRST)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_mean_that_is_not_finite_is_told_too(demo_file, monkeypatch, value):
    true_mean, seen = Inpainter.mean, []

    def mean(self, border, captions=None, **options):
        found = true_mean(self, border, captions, **options).clone()
        seen.append(len(border))
        if sum(seen) > 2:
            found[0, 1, 2, 3] = value
        return found

    monkeypatch.setattr(Inpainter, "mean", mean)
    with pytest.raises(
        InputError, match="^a.pt: not fit for use: its mean's PSNR of image 2 of .*: -inf; 1 of 4 images"
    ):
        evaluate(fresh_model(), Photos(demo_file, "val"), limit=4, batch_size=2, name="a.pt")


def test_the_other_model_of_a_comparison_is_named(demo_file, spoil):
    photos, model = Photos(demo_file, "val"), fresh_model()
    evaluation = evaluate(model, photos, limit=4, options=FIRST)
    spoil(float("inf"))
    with pytest.raises(InputError, match="^other.pt: not fit for use: its nats of image 2 of .*: -inf"):
        versus.compare(evaluation, [("other.pt", model)], photos)


def test_finite_figures_pass():
    scoring.check_finite(np.array([0.0, -3.0, 1e300]), None, np.arange(3), "a.pt")
    scoring.check_finite(np.array([]), None, np.arange(0), "a.pt")


@pytest.fixture
def photos(tmp_path):
    """Two photos of the model's size in a folder."""
    (tmp_path / "photos").mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_fill_leaves_a_photo_out_whose_samples_have_no_likelihood(checkpoint, huge, photos, tmp_path):
    """A ranking with NaN in it is none; an earlier result stays."""
    out = tmp_path / "out"
    filling.fill(photos / "a.png", checkpoint, out, samples=2)
    earlier = {path.name: path.read_bytes() for path in out.iterdir()}
    code, told, err = shell(inpaint_command.main, "fill", photos, "--checkpoint", huge, "--samples", 2, "--out", out)
    assert code == 1 and "filled 0 of 2" in told
    names = [str(photos / name) for name in ("a.png", "b.png")]
    assert sorted(line.split(": ")[1] for line in err.splitlines()) == names
    assert err.count(f"{huge} is not fit for use: the log-likelihood of a sample is nan") == 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == earlier


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), float("inf")])
def test_the_other_photos_are_filled_all_the_same(checkpoint, photos, tmp_path, spoil, value):
    spoil(value)  # the first sample of the second photo
    done = filling.fill(photos, checkpoint, tmp_path / "out", samples=2)
    assert [path.name for path, _ in done.rejects] == ["b.png"] and str(value) in done.rejects[0][1]
    assert [record["photo"] for record in done.records] == [str(photos / "a.png")]
    assert not list((tmp_path / "out").glob("b*"))
    assert all(torch.isfinite(torch.tensor(s["log_likelihood_nats"])) for s in done.records[0]["samples"])
