"""Photos without colors: fills are greys, and their log-likelihoods are those of what is written."""

import numpy as np
import pytest
import torch
from checkpoint_makers import fresh_model, save_fresh
from PIL import Image

import inpaint
from inpaint.detail import fill_detail
from inpaint.greys import luma
from inpaint.holes import fill_hole


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    path = tmp_path_factory.mktemp("greys") / "causal.pt"
    save_fresh(path, decoder="pixelcnn", likelihood="logistic-mixture", masks="mixed", use_captions=True)
    return path


def noise(size=(90, 70), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)


def test_luma_is_pillow_s():
    colors = np.concatenate(
        [noise((300, 300)), np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)], axis=None
    )
    colors = colors.reshape(1, -1, 3)
    wanted = np.asarray(Image.fromarray(colors).convert("L"))[0]
    found = luma(torch.from_numpy(colors).permute(2, 0, 1)[None])[0]
    assert all(np.array_equal(channel[0].numpy(), wanted) for channel in found)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_photo_s_fills_have_the_nats_that_score_finds(mode, causal, tmp_path):
    image = Image.fromarray(noise()).convert("L")
    if mode == "LA":
        image = image.convert("LA")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    assert image.mode == mode
    image.save(tmp_path / "a.png")
    options = {"box": (30, 20, 9, 7)}
    record = inpaint.fill(tmp_path / "a.png", causal, tmp_path / "out", samples=3, **options).records[0]
    fills = [tmp_path / "out" / sample["file"] for sample in record["samples"]]
    nats = [sample["log_likelihood_nats"] for sample in record["samples"]]
    assert nats == sorted(nats, reverse=True) and len(set(nats)) == 3
    scored = inpaint.score(tmp_path / "a.png", causal, tmp_path / "s", against=fills, **options)
    found = {entry["file"]: entry["log_likelihood_nats"] for entry in scored["scores"]}
    assert [found[str(path)] for path in fills] == pytest.approx(nats, abs=1e-2)


def test_the_tiles_of_a_large_grey_hole_are_grey_before_the_next_is_drawn(monkeypatch):
    model = fresh_model(decoder="contour", likelihood="categorical", masks="mixed")
    pixels = np.repeat(noise((120, 90))[..., :1], 3, axis=2)
    unknown = np.zeros((90, 120), bool)
    unknown[20:60, 30:100] = True
    seen = []
    plain = type(model).sample
    monkeypatch.setattr(
        type(model), "sample", lambda self, border, *a, **k: seen.append(border) or plain(self, border, *a, **k)
    )
    done = fill_detail(model, pixels, unknown, grey=True, exact=True)
    assert len(seen) > 3 and all((border == border[:, :1]).all() for border in seen)
    assert (done.colors == done.colors[..., :1]).all()


@pytest.mark.parametrize("exact", [None, False, True])
def test_a_model_of_grey_images_reads_a_colorful_photo_as_its_greys(exact):
    model = fresh_model(decoder="contour", likelihood="categorical", masks="mixed", channels=1)
    pixels, unknown = noise((120, 90)), np.zeros((90, 120), bool)
    unknown[20:60, 30:80] = exact is not None
    unknown[20:40, 30:50] = True  # of scale 1: resized before or after, a grey may be another
    greys = np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))
    fill = fill_hole if exact is None else lambda *words, **options: fill_detail(*words, exact=exact, **options)
    one, other = (fill(model, each, unknown, samples=2, seed=1) for each in (pixels, greys))
    assert torch.equal(one.nats, other.nats) and np.array_equal(one.colors, other.colors)
