"""inpaint score: exact nats of a hole, entropies that are expectations, and one line for what cannot be scored."""

import io
import json
import math
from contextlib import redirect_stderr, redirect_stdout
from itertools import product

import numpy as np
import pytest
import torch
from checkpoint_makers import fresh_model, save_fresh
from PIL import Image

import inpaint
from data_prep.errors import InputError, run_main
from data_prep.recognise import MAP, SCORED
from inpaint import maps
from inpaint.__main__ import main
from inpaint.holes import expected_nats, score_hole, see
from models.likelihoods import LIKELIHOODS


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("score") / "gaussian.pt"
    save_fresh(path, decoder="contour", likelihood="gaussian", masks="mixed")
    return path


def shell(*arguments):
    """(exit code, stdout, stderr) of `python -m inpaint score ARGUMENTS`."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        run_main(main, ["score", *map(str, arguments)])
    return left.value.code, out.getvalue(), err.getvalue()


def picture(size=(90, 70), seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))


def test_probabilities_of_all_fills_sum_to_one_and_their_mean_surprise_is_zero():
    """Two levels and two unknown pixels: 64 fills."""
    model = fresh_model(decoder="pixelcnn", likelihood="bernoulli", levels=2, masks="mixed")
    pixels = np.asarray(picture()) // 128 * 255
    unknown = np.zeros((70, 90), bool)
    unknown[40, 50] = unknown[41, 49] = True
    fills = []
    for values in product((0, 255), repeat=6):
        fills.append(pixels.copy())
        fills[-1][unknown] = np.reshape(values, (2, 3))
    scores = score_hole(model, pixels, unknown, fills)
    probabilities = np.exp(scores.nats)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5) and probabilities.std() > 1e-4
    totals = scores.surprise.sum(axis=(1, 2))
    assert (probabilities * totals).sum() == pytest.approx(0, abs=1e-5) and np.abs(totals).max() > 0.01


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name != "bernoulli"])
def test_entropy_is_the_mean_of_nats_over_all_levels_of_each_subpixel(name):
    model = fresh_model(decoder="contour", likelihood=name, image_size=16, hole=(4, 4, 8, 8), masks="mixed")
    border = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    center = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        params = 3 * model.params(border, center=center)
        found = expected_nats(model.likelihood, params, center)
        for channel, row, column in ((0, 0, 0), (1, 3, 5), (2, 7, 7)):
            expected = 0.0
            for value in range(256):
                x = center.clone()
                x[0, channel, row, column] = value
                nats = -model.likelihood.log_prob(params, x)[0, channel, row, column].double().item()
                expected += math.exp(-nats) * nats
            assert found[0, channel, row, column].item() == pytest.approx(expected, abs=1e-4)
    assert found.min() >= 0 and found.max() <= math.log(256) + 1e-3


def test_the_record_the_maps_and_the_table(checkpoint, tmp_path):
    picture().save(tmp_path / "a.png")
    altered = np.asarray(picture()).copy()
    altered[10:20, 30:50] = 128
    altered[0, :5] = 1
    Image.fromarray(altered).save(tmp_path / "b.png")
    hole = ("--box", "30,10,20,10", "--checkpoint", checkpoint, "--out", tmp_path / "out")
    code, out, err = shell(tmp_path / "a.png", *hole, "--against", tmp_path / "b.png")
    assert code == 0 and err == f"note: {tmp_path / 'b.png'}: 5 known pixels are not the photo's; they do not count\n"
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    first, second = record["scores"]
    assert first["log_likelihood_nats"] > second["log_likelihood_nats"]
    assert {entry["file"] for entry in record["scores"]} == {str(tmp_path / "a.png"), str(tmp_path / "b.png")}
    assert record["box"] == [30, 10, 20, 10] and record["unknown_pixels"] == record["drawn_pixels"] == 200
    for entry in record["scores"]:
        bits = -entry["log_likelihood_nats"] / (600 * math.log(2))
        assert entry["bits_per_unknown_subpixel"] == pytest.approx(bits)
        assert f"{entry['log_likelihood_nats']:,.1f}" in out and f"{entry['surprise_nats']:+,.1f}" in out
    for name in ("surprise", "entropy"):
        path = tmp_path / "out" / f"a_{name}.png"
        assert MAP.recognises(path) and Image.open(path).size == (90, 70)
        assert record["maps"][name]["file"] == path.name
    assert SCORED.recognises(tmp_path / "out" / "a.json")
    assert shell(tmp_path / "a.png", *hole)[0] == 0  # over its own results
    (tmp_path / "out" / "a_entropy.png").write_bytes((tmp_path / "a.png").read_bytes())
    code, out, err = shell(tmp_path / "a.png", *hole)
    assert code == 1 and "a_entropy.png" in err and err.count("\n") == 1


def test_a_map_colors_the_unknown_pixels_where_they_are():
    model, pixels = fresh_model(decoder="contour", likelihood="gaussian", masks="mixed"), np.asarray(picture())
    unknown = np.zeros((70, 90), bool)
    unknown[20:30, 40:60] = True
    seen = see(model, pixels, unknown)
    values = np.zeros((32, 32))
    top, left = 20 - seen.window.top - 16, 40 - seen.window.left - 16
    values[top + 3, left + 7] = 9.0
    values[top + 5, left + 2] = -9.0
    drawn = np.asarray(maps.draw(pixels, unknown, seen, values, maps.SURPRISE)).astype(int)
    red, blue, white = drawn[23, 47], drawn[25, 42], drawn[20, 40]
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50 and white.min() > 240
    outside = drawn[~unknown]
    assert (outside == outside[:, :1]).all() and outside.min() > 150  # pale grey


def test_a_model_that_is_no_distribution_has_no_maps(tmp_path):
    save_fresh(tmp_path / "b.pt", decoder="contour", likelihood="bernoulli", masks="mixed")
    picture().save(tmp_path / "a.png")
    record = inpaint.score(tmp_path / "a.png", tmp_path / "b.pt", tmp_path / "out", box=(3, 4, 5, 6))
    assert record["maps"] is None and record["scores"][0]["surprise_nats"] is None
    assert "cross-entropy" in record["log_likelihood_is"] and record["scores"][0]["log_likelihood_nats"] < 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.json"]


def test_what_cannot_be_scored_is_one_line(checkpoint, tmp_path):
    picture().save(tmp_path / "a.png")
    picture((70, 90)).save(tmp_path / "turned.png")
    (tmp_path / "text.png").write_text("no image")
    rest = ("--checkpoint", checkpoint, "--out", tmp_path / "out")
    for arguments, reason in [
        (
            (tmp_path / "a.png", "--box", "0,0,5,5", "--against", tmp_path / "turned.png"),
            "turned.png: is 70 x 90 pixels",
        ),
        ((tmp_path / "a.png", "--box", "0,0,5,5", "--against", tmp_path / "text.png"), "text.png: not an image"),
        ((tmp_path / "text.png", "--box", "0,0,5,5"), "text.png: not an image"),
        ((tmp_path / "no.png", "--box", "0,0,5,5"), "no.png: no such file"),
        (
            (tmp_path / "a.png", "--box", "86,0,5,5"),
            "a.png: is 90 x 70 pixels upright: the box 86,0,5,5 reaches outside",
        ),
    ]:
        code, out, err = shell(*arguments, *rest)
        assert code == 1 and err.startswith("error: ") and err.count("\n") == 1 and reason in err, err
    assert shell(tmp_path / "a.png", *rest)[0] == 2  # no hole
    with pytest.raises(InputError, match="would replace"):
        inpaint.score(tmp_path / "a.png", checkpoint, tmp_path, box=(1, 1, 3, 3), against=[tmp_path / "a_surprise.png"])
