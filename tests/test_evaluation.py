"""Evaluation: every image once and the same figure however it is computed; gains paired; JSON as the contract says."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from checkpoint_makers import save_fresh
from PIL import Image

from data_prep.errors import InputError
from data_prep.files import write_json
from inpaint import shares
from inpaint.evaluation import image_quality
from inpaint.evaluation.caption_figures import CaptionOptions
from inpaint.evaluation.figures import evaluate
from inpaint.evaluation.scoring import score
from inpaint.evaluation.summary import summarise, table
from models import build

SIZE, HOLE = 16, (4, 4, 8, 8)


class FakePhotos:
    """Random pixels and given captions, with the surface of `Photos`."""

    path, split, image_size, hole, channels, truth = "fake.h5", "val", SIZE, HOLE, 3, None
    masks = "box"

    def __init__(self, captions, truth=None):
        self.captions, self.truth = captions, truth
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (len(captions), 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
        self.center = pixels[:, :, 4:12, 4:12].clone()
        pixels[:, :, 4:12, 4:12] = 0
        self.border = pixels

    def __len__(self):
        return len(self.captions)

    def images(self, indices):
        return self.border[indices], self.center[indices]

    def captions_of(self, index):
        return [self.captions[index]] if self.captions[index] else []


class ByCaption(torch.nn.Module):
    """A model whose nats follow from the caption alone: 1 a sub-pixel, less 1/2 if it says "yes", more 1/4 for "no"."""

    decoder, likelihood_name, uses_captions, hole, image_size = "contour", "categorical", True, HOLE, SIZE

    def __init__(self, proper=True, uses_captions=True):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.likelihood = torch.nn.Module()
        self.likelihood.proper, self.likelihood.levels = proper, 256
        self.uses_captions = uses_captions
        self.seen = []

    def log_prob(self, border, center, captions=None, known=None):
        self.seen.append((len(border), captions, self.training, torch.is_inference_mode_enabled()))
        worth = {"yes": 0.5, "no": 1.25}
        nats = torch.tensor([worth.get(caption, 1.0) for caption in captions or [""] * len(border)])
        return -nats[:, None, None, None].expand(-1, 3, 8, 8)

    def mean(self, border, captions=None, known=None):
        return None


def test_gains_are_paired_and_leave_out_images_without_a_caption():
    evaluation = evaluate(ByCaption(), FakePhotos(["yes", "no", "", "yes", "no", ""]))
    assert evaluation.nats.tolist() == [96, 240, 192, 96, 240, 192]
    assert evaluation.nats_none.tolist() == [192] * 6
    assert evaluation.gain_over("none").tolist() == [96, -48, 96, -48]
    assert evaluation.gain_over("swapped").tolist() == [144, -144, 144, -144]
    assert evaluation.gain_over("unlike").tolist() == [144, -144, 144, -144]
    assert [evaluation.lent[i] for i in (2, 5)] == [[], []] and evaluation.unlike[[2, 5]].tolist() == [-1, -1]
    summary = summarise(evaluation)
    assert summary["images"] == 6 and summary["captioned_images"] == 4
    assert summary["nats_per_image"]["mean"] == 176
    assert summary["caption_gain_nats_per_image"]["over_none"]["mean"] == 24
    assert summary["caption_gain_nats_per_image"]["over_none"]["ci95"] is None  # of four images
    many = summarise(evaluate(ByCaption(), FakePhotos(["yes", "no", ""] * 10)))
    low, high = many["caption_gain_nats_per_image"]["over_none"]["ci95"]
    assert low < 24 < high


def test_own_caption_is_scored_before_the_limit_cuts_who_can_lend_one():
    evaluation = evaluate(ByCaption(), FakePhotos(["yes", "no"]), limit=1)
    assert evaluation.lent == [[1]] and evaluation.unlike.tolist() == [1]
    assert evaluation.gain_over("swapped").tolist() == [144]


def test_what_is_lent_to_an_image_does_not_depend_on_how_many_are_scored():
    photos = FakePhotos([f"caption {number}" for number in range(30)])
    for options in (CaptionOptions(), CaptionOptions("first", 4)):
        few = evaluate(ByCaption(), photos, limit=3, options=options)
        many = evaluate(ByCaption(), photos, options=options)
        assert few.lent == many.lent[:3] and few.unlike.tolist() == many.unlike[:3].tolist()
        np.testing.assert_array_equal(few.nats_mixture, many.nats_mixture[:3])


def test_model_without_captions_is_scored_once_and_has_no_gain():
    model = ByCaption(uses_captions=False)
    summary = summarise(evaluate(model, FakePhotos(["yes"] * 5), batch_size=2))
    assert [batch for batch, *_ in model.seen] == [2, 2, 1]
    assert all(captions is None for _, captions, *_ in model.seen)
    assert summary["caption_gain_nats_per_image"] is None
    assert summary["nats_per_image"]["mean"] == 192


def test_photos_without_any_caption_have_no_gain_to_report():
    summary = summarise(evaluate(ByCaption(), FakePhotos(["", ""])))
    gains = summary["caption_gain_nats_per_image"]
    assert gains == dict.fromkeys(["over_none", "over_swapped", "over_unlike", "over_mixture"])
    assert "none of these images has one" in table(summary)


def test_model_is_scored_in_eval_mode_without_gradients_and_left_as_it_was():
    model = ByCaption().train()
    score(model, FakePhotos(["yes"]), np.arange(1), None)
    assert model.seen == [(1, None, False, True)]
    assert model.training


def test_nats_above_the_truth_are_told_for_likelihoods_alone():
    truth = {"border": 8.5, "border_caption": 4.0, "caption": 4.5}
    photos = FakePhotos(["yes", "yes"], truth)
    proper = summarise(evaluate(ByCaption(), photos))
    assert proper["nats_above_truth"] == {"with_caption": 96 - 4.0, "without_caption": 192 - 8.5}
    assert proper["bits_per_dim"] == pytest.approx(0.5 / math.log(2)) and proper["bernoulli_cross_entropy"] is None
    coarse = ByCaption()
    coarse.likelihood.levels = 4  # the truth is that of 256
    assert summarise(evaluate(coarse, photos))["truth"] is None
    cross_entropy = summarise(evaluate(ByCaption(proper=False), photos))
    assert cross_entropy["nats_above_truth"] is None and cross_entropy["bits_per_dim"] is None
    figures = cross_entropy["bernoulli_cross_entropy"]
    assert figures["nats_per_image"] == 96 and figures["nats_per_pixel"] == 1.5
    assert figures["excess_nats_per_image"] == pytest.approx(96 - figures["floor_nats_per_image"])
    assert "cannot be compared" in table(cross_entropy)


def test_shares_of_any_number_of_processes_cover_every_image_once(monkeypatch):
    for world in (1, 2, 3, 8):
        parts = []
        for rank in range(world):
            monkeypatch.setattr(shares, "rank_and_world", lambda rank=rank, world=world: (rank, world))
            parts.append(shares.my_share(5))
        assert sorted(np.concatenate(parts)) == [0, 1, 2, 3, 4]


def test_psnr_and_ssim_know_a_perfect_and_a_wrong_picture():
    center = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    assert np.isinf(image_quality.psnr(center.float(), center)).all()
    np.testing.assert_allclose(image_quality.ssim(center.float(), center), 1)
    off = torch.full_like(center, 100).float()
    np.testing.assert_allclose(image_quality.psnr(off + 5, torch.full_like(center, 100)), 20 * math.log10(255 / 5))
    assert (image_quality.ssim(off, center) < 0.1).all()
    assert np.isnan(image_quality.ssim(off[..., :2], center[..., :2])).all()


@pytest.fixture(scope="module")
def files(tmp_path_factory, root):
    """A folder with demo.h5 (12 images a split), and checkpoint.pt and other.pt of fresh models."""
    folder = tmp_path_factory.mktemp("evaluate")
    command = [
        sys.executable,
        root / "data_prep" / "build_h5.py",
        "--demo",
        "--limit",
        "12",
        "--out",
        folder / "demo.h5",
    ]
    subprocess.run(command, check=True, capture_output=True)
    save_fresh(folder / "checkpoint.pt", likelihood="logistic-mixture", tower="ift6266")
    save_fresh(folder / "other.pt", likelihood="gaussian")
    return folder


def run(root, *arguments, launcher=()):
    command = [sys.executable, *launcher, root / "evaluate.py", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250)


def test_command_writes_the_contracts_json_and_a_grid_and_two_processes_agree_with_one(root, files, tmp_path):
    data = ("--checkpoint", files / "checkpoint.pt", "--data", files / "demo.h5", "--limit", 7)
    data += ("--versus", files / "other.pt")
    outputs = ("--json", tmp_path / "one.json", "--grid", tmp_path / "grid.png", "--samples", 2)
    done = run(root, *data, *outputs)
    assert done.returncode == 0, done.stderr
    assert "bits per dim" in done.stdout and "above it, captioned" in done.stdout
    one = json.loads((tmp_path / "one.json").read_text())
    contract = {
        *("schema", "checkpoint", "data", "split", "images", "decoder", "likelihood", "uses_captions"),
        *("nats_per_image", "nats_per_pixel", "bits_per_dim", "bernoulli_cross_entropy"),
        *("caption_gain_nats_per_image", "psnr_db", "ssim", "images_per_second"),
    }
    assert contract <= set(one)
    assert (one["schema"], one["split"], one["images"], one["uses_captions"]) == (1, "val", 7, True)
    assert set(one["nats_per_image"]) == {"mean", "stderr"}
    assert set(one["caption_gain_nats_per_image"]["over_swapped"]) == {"mean", "ci95", "of"}
    assert one["of"] == "this checkpoint" and one["seeds"] == 1 and one["split_images"] == 12
    pixels_by_ring = [124 - 8 * ring for ring in range(16)]  # 32 x 32, from the outside in
    assert np.dot(pixels_by_ring, one["nats_per_pixel_by_ring"]) / 1024 == pytest.approx(one["nats_per_pixel"])
    assert one["versus"]["likelihood"] == "gaussian"
    assert one["nats_above_truth"]["with_caption"] == pytest.approx(one["nats_per_image"]["mean"] - math.log(64))
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.width > 5 * 128 and grid.height > 7 * 128  # 5 columns; 7 rows

    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    two = run(root, *data, "--batch-size", 2, "--json", tmp_path / "two.json", launcher=launcher)
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("bits per dim") == 1
    two = json.loads((tmp_path / "two.json").read_text())
    for figures in (one, two):
        del figures["images_per_second"]
    one, two = dict(leaves(one)), dict(leaves(two))
    numbers = {key for key, leaf in one.items() if isinstance(leaf, float)}
    assert {key: two[key] for key in numbers} == pytest.approx({key: one[key] for key in numbers}, rel=0, abs=1e-4)
    assert {key: two[key] for key in two if key not in numbers} == {key: one[key] for key in one if key not in numbers}


def leaves(value, path=()):
    """(path, leaf) of nested dicts and lists."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def test_mistakes_end_in_one_line_that_names_the_file(files, tmp_path):
    checkpoint, data = files / "checkpoint.pt", files / "demo.h5"
    (tmp_path / "cut.pt").write_bytes(checkpoint.read_bytes()[:5000])
    (tmp_path / "foreign.pt").write_bytes(b"not a checkpoint")
    (tmp_path / "cut.h5").write_bytes(data.read_bytes()[:3000])
    for arguments, code, word in [
        (("--checkpoint", tmp_path / "none.pt", "--data", data), 1, "none.pt"),
        (("--checkpoint", tmp_path / "cut.pt", "--data", data), 1, "cut.pt"),
        (("--checkpoint", tmp_path / "foreign.pt", "--data", data), 1, "foreign.pt"),
        (("--checkpoint", checkpoint, "--data", tmp_path / "cut.h5"), 1, "cut.h5"),
        (("--checkpoint", checkpoint), 1, "--data"),
        (("--checkpoint", checkpoint, "--data", data, "--limit", 0), 2, "--limit"),
        (("--checkpoint", checkpoint, "--data", data, "--samples", 101), 2, "from 1 to 100"),
        (("--checkpoint", checkpoint, "--data", data, "--split", "dev"), 2, "--split"),
    ]:
        done = in_process(arguments)
        assert done.code == code and word in done.stderr, (arguments, done)
        assert code == 2 or done.stderr.count("\n") == 1, done.stderr


def test_figures_that_are_not_finite_become_null_in_json(tmp_path):
    write_json(tmp_path / "out.json", {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf, "e": 2}})
    assert json.loads((tmp_path / "out.json").read_text()) == {"a": None, "b": [None, 1.5], "c": {"d": None, "e": 2}}


def test_photos_with_another_hole_are_refused():
    from inpaint.commands.evaluate import check_fit

    model = build(tower="ift6266", image_size=SIZE, hole=HOLE)
    with pytest.raises(InputError, match=r"hole \[4, 5, 8, 8\].*c\.pt is for 16 pixels"):
        photos = FakePhotos([""])
        photos.hole = (4, 5, 8, 8)
        check_fit("c.pt", model, photos)


class in_process:
    """Runs evaluate.py's main as the script would; `.code` and `.stderr` are what a shell sees."""

    def __init__(self, arguments):
        import contextlib
        import io

        import evaluate
        from data_prep.errors import run_main

        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr), pytest.raises(SystemExit) as left:
            run_main(evaluate.main, [str(argument) for argument in arguments])
        self.code, self.stderr = left.value.code, stderr.getvalue()

    def __repr__(self):
        return f"{self.code}: {self.stderr}"
