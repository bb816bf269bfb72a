"""What fill writes of each of several photos is that photo's own: pixels, caption, mean, likelihoods, facts."""

import json

import numpy as np
import pytest
import torch
from checkpoint_makers import save_fresh
from PIL import Image

from inpaint import checkpoints, filling, grid, square_filling

NAMES = ("a", "b", "c")
SMALL = {"image_size": 16, "hole": (4, 5, 6, 7)}


@pytest.fixture
def photos(tmp_path):
    """Three photos of noise with captions beside them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"the caption of {name}")
    return folder


@pytest.fixture
def rows(monkeypatch):
    """{NAME: (row, hole, sample_is_mean)} of the grids that fill draws."""
    drawn = {}
    real = grid.draw

    def draw(rows, hole, sample_is_mean=False):
        drawn[rows[0].caption.removeprefix("the caption of ")] = (rows[0], hole, sample_is_mean)
        return real(rows, hole, sample_is_mean)

    monkeypatch.setattr(grid, "draw", draw)
    return drawn


def pixels_of(path):
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_each_photo_s_results_are_its_own(photos, rows, tmp_path):
    model = save_fresh(tmp_path / "m.pt", likelihood="gaussian", **SMALL)
    done = filling.fill(photos, tmp_path / "m.pt", tmp_path / "out", samples=3, seed=5, temperature=0.7)
    assert sorted(rows) == list(NAMES)
    for name, record in zip(NAMES, done.records, strict=True):
        whole = pixels_of(photos / f"{name}.png")
        border, center = whole.clone(), whole[:, 4:10, 5:12]
        border[:, 4:10, 5:12] = 0
        row, hole, sample_is_mean = rows[name]
        assert torch.equal(row.border, border) and torch.equal(row.original, center)
        assert row.caption == f"the caption of {name}" == record["caption"]
        assert tuple(hole) == (4, 5, 6, 7) and not sample_is_mean
        caption = [row.caption]
        with torch.inference_mode():
            torch.testing.assert_close(row.mean, model.mean(border[None], caption)[0])
            nats = model.log_prob(border.expand(3, -1, -1, -1), row.samples, caption * 3).double().sum((1, 2, 3))
        claimed = [sample["log_likelihood_nats"] for sample in record["samples"]]
        assert claimed == pytest.approx(nats.tolist(), abs=1e-3) and claimed == sorted(claimed, reverse=True)
        for k in range(3):
            written = pixels_of(tmp_path / "out" / f"{name}_{k}.png")
            assert torch.equal(written[:, 4:10, 5:12], row.samples[k])
            written[:, 4:10, 5:12] = 0
            assert torch.equal(written, border)
        assert record["photo"] == str(photos / f"{name}.png")
        assert record == json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert len({tuple(r[0].samples.flatten().tolist()) for r in rows.values()}) == 3


def test_the_record_says_how_it_was_made(photos, tmp_path):
    save_fresh(tmp_path / "m.pt", likelihood="categorical", decoder="gated", levels=8, use_captions=False, **SMALL)
    options = {"samples": 1, "seed": 5, "temperature": 0.5, "precision": "fp32"}
    (record, *_) = filling.fill(photos / "a.png", tmp_path / "m.pt", tmp_path / "out", **options).records
    facts = ("decoder", "likelihood", "image_size", "hole", "seed", "temperature", "precision", "levels", "binarize")
    assert {name: record[name] for name in facts} == {
        "decoder": "gated",
        "likelihood": "categorical",
        "image_size": 16,
        "hole": [4, 5, 6, 7],
        "seed": 5,
        "temperature": 0.5,
        "precision": "fp32",
        "levels": 8,
        "binarize": None,
    }
    assert record["caption"] is None  # the model takes none, whatever lies beside the photo
    assert record["sample_is_mean"] is False and record["log_likelihood_is"] == "of values of 8 levels, in nats"


@pytest.mark.parametrize("precision, dtype", [("fp32", torch.float32), ("fp64", torch.float64)])
def test_precision_temperature_and_seed_reach_the_sampler(photos, tmp_path, monkeypatch, precision, dtype):
    save_fresh(tmp_path / "m.pt", likelihood="categorical", **SMALL)
    real, asked = square_filling.draw_samples, {}

    def draw_samples(model, border, texts, samples, seed, **how):
        asked.update(how, seed=seed, samples=samples)
        return real(model, border, texts, samples, seed, **how)

    monkeypatch.setattr(square_filling, "draw_samples", draw_samples)
    options = {"samples": 2, "seed": 9, "temperature": 0.25, "precision": precision}
    filling.fill(photos / "a.png", tmp_path / "m.pt", tmp_path / "out", **options)
    assert asked.pop("as_alone") is True
    expected = {"dtype": dtype, "temperature": 0.25, "seed": 9, "samples": 2}
    assert {name: asked[name] for name in expected} == expected


def test_a_bernoulli_model_s_grid_and_record_say_that_a_sample_is_the_mean(photos, rows, tmp_path):
    save_fresh(tmp_path / "m.pt", likelihood="bernoulli", **SMALL)
    (record,) = filling.fill(photos / "b.png", tmp_path / "m.pt", tmp_path / "out", samples=1).records
    assert rows["b"][2] is True and record["sample_is_mean"] is True
    assert record["log_likelihood_is"] == "minus the Bernoulli cross-entropy"
    proper = filling.fill(photos / "b.png", checkpoint_of_256(tmp_path), tmp_path / "other", samples=1).records[0]
    assert proper["log_likelihood_is"] == "of 8-bit values, in nats" and proper["levels"] == 256


def checkpoint_of_256(folder):
    save_fresh(folder / "256.pt", likelihood="gaussian", **SMALL)
    return folder / "256.pt"


def test_a_binary_model_reads_fixed_draws_and_the_photo_stays_as_it_was(photos, rows, tmp_path):
    path = tmp_path / "m.pt"
    save_fresh(path, likelihood="bernoulli", levels=2, **SMALL)
    state = checkpoints.read(path)
    checkpoints.save(path, {**state, "config": {**state["config"], "binarize": "fixed"}})
    found = [filling.fill(photos, path, tmp_path / str(k), samples=2).records for k in range(2)]
    for one, other in zip(*found, strict=True):
        assert one["binarize"] == "fixed" and one["samples"] == other["samples"]
    whole = pixels_of(photos / "c.png")
    whole[:, 4:10, 5:12] = 0
    assert torch.equal(rows["c"][0].border, whole)
