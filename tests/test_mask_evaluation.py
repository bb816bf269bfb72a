"""Evaluation under masks: every figure is of the unknown pixels alone, and the masks are the same for every model."""

import json
import math

import numpy as np
import pytest
import torch
from checkpoint_makers import fresh_model, save_fresh
from made_up import an_evaluation, page_of, three_photos
from test_evaluation import HOLE, SIZE, ByCaption, FakePhotos, in_process
from test_evaluation import run as run_script

from data_prep.hole import channels_first
from inpaint import masks, units
from inpaint.commands import evaluate as command
from inpaint.dataset import Photos
from inpaint.evaluation import statistics, versus
from inpaint.evaluation.figures import evaluate, mean_of
from inpaint.evaluation.rings import distances, floor_by_ring
from inpaint.evaluation.summary import summarise, table
from inpaint.grid import row_images
from inpaint.sampling import grid_rows

KINDS = [kind for kind in masks.KINDS if kind != "box"]
PIXELS = 64  # of HOLE


class Masked(ByCaption):
    """Nats of an unknown sub-pixel: a sixteenth of its row, and 1/2 less with a caption. The mean is 10 lighter."""

    def log_prob(self, border, center, captions=None, known=None):
        worth = torch.tensor([-0.5 if caption else 0.0 for caption in captions or [""] * len(border)])
        nats = 1 + torch.arange(8.0)[:, None] / 16 + worth[:, None, None, None]  # (B, 1, 8, 1)
        inside = known[:, :, 4:12, 4:12]
        self.seen.append(known)
        assert (border[:, :, 4:12, 4:12] == center * inside).all()  # the border holds what is known
        return -nats.expand(-1, 3, 8, 8).masked_fill(inside, 0)

    def mean(self, border, captions=None, known=None):
        inside = known[:, :, 4:12, 4:12]
        return torch.where(inside, 99.0, self.photos.center[: len(border)].float() + 10)  # known pixels do not count


def fake(kind, captions):
    photos = FakePhotos(captions, truth={"border": 8.5, "border_caption": 4.0, "caption": 4.5})
    photos.masks = kind
    return photos


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("proper", [True, False])
def test_every_figure_under_a_mask_by_hand(kind, proper):
    photos, model = fake(kind, ["a", "", "b", "c"]), Masked(proper)
    model.photos = photos
    unknown = masks.unknown_of(photos, range(4))  # (4, 8, 8)
    rows, counts = unknown.sum(axis=2), unknown.sum(axis=(1, 2))
    none = 3 * (rows * (1 + np.arange(8) / 16)).sum(axis=1)
    nats = none - 1.5 * counts * [1, 0, 1, 1]
    evaluation = evaluate(model, photos)
    np.testing.assert_allclose(evaluation.nats, nats)
    found = summarise(evaluation)
    assert found["masks"] == kind
    assert found["unknown_pixels"] == {"mean": counts.mean(), "share": pytest.approx(counts.mean() / PIXELS)}
    assert found["nats_per_image"]["mean"] == pytest.approx(nats.mean())
    assert found["nats_per_pixel"] == pytest.approx(nats.sum() / counts.sum())
    bits = pytest.approx(nats.sum() / (3 * counts.sum() * math.log(2))) if proper else None
    assert found["bits_per_dim"] == found["bits_per_unknown_subpixel"] == bits
    gain = found["caption_gain_nats_per_image"]["over_none"]["mean"]
    assert gain == pytest.approx(1.5 * counts[[0, 2, 3]].mean())
    assert found["psnr_db"] == pytest.approx(20 * math.log10(25.5)) and math.isnan(found["ssim"])
    assert found["truth"] is None and found["nats_above_truth"] is None
    floor = (units.bernoulli_floor_of_pixels(photos.center) * unknown).sum(axis=(1, 2))
    np.testing.assert_allclose(evaluation.floor, floor)
    if not proper:
        cross_entropy = found["bernoulli_cross_entropy"]
        assert cross_entropy["floor_nats_per_image"] == pytest.approx(floor.mean())
        assert cross_entropy["excess_nats_per_image"] == pytest.approx(nats.mean() - floor.mean())
        assert cross_entropy["nats_per_pixel"] == found["nats_per_pixel"]
    assert f"{kind}: {counts.mean():,.1f} pixels unknown on average" in table(found)


@pytest.mark.parametrize("kind", KINDS)
def test_rings_and_the_map_are_over_unknown_pixels(kind):
    photos, model = fake(kind, ["", "", "a"]), Masked()
    model.photos = photos
    unknown = masks.unknown_of(photos, range(3))
    pixels = unknown * 3 * (1 + np.arange(8)[:, None] / 16 - np.array([0, 0, 0.5])[:, None, None])
    with np.errstate(invalid="ignore"):
        expected = pixels.sum(axis=0) / unknown.sum(axis=0)  # NaN where all know it
        evaluation = evaluate(model, photos)
        np.testing.assert_allclose(evaluation.pixel_nats, expected)
        rings = [distances(HOLE, SIZE) == ring for ring in range(1, 5)]
        by_ring = [pixels[:, ring].sum() / unknown[:, ring].sum() for ring in rings]
        np.testing.assert_allclose(summarise(evaluation)["nats_per_pixel_by_ring"], by_ring)
        floors = units.bernoulli_floor_of_pixels(photos.center) * unknown
        floors = [floors[:, ring].sum() / unknown[:, ring].sum() for ring in rings]
        np.testing.assert_allclose(floor_by_ring(photos, np.arange(3), batch_size=2), floors)


def test_a_ratio_s_values_have_its_mean_and_spread():
    counts = np.array([1.0, 4.0, 7.0])
    assert statistics.ratio_values(2.5 * counts, counts).tolist() == pytest.approx([2.5] * 3)  # the ratio is certain
    sums = np.array([1.0, 20.0, 9.0])
    values = statistics.ratio_values(sums, counts)
    assert values.mean() == pytest.approx(30 / 12)
    jackknife = [np.delete(sums, i).sum() / np.delete(counts, i).sum() for i in range(3)]
    assert np.corrcoef(values, jackknife)[0, 1] < -0.9
    assert np.isnan(statistics.ratio_values(np.zeros((2, 1)), np.zeros((2, 1)))).all()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three photos of 12 x 12, hole 4 x 5."""
    return three_photos(tmp_path_factory.mktemp("masked"))


def under(photos, kind):
    return Photos(photos.info, "val", masks=kind)


def of(photos, seed=0, **options):
    return fresh_model(seed, image_size=12, hole=tuple(photos.hole), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_figures_under_a_mask_do_not_depend_on_the_batch_and_are_those_of_log_prob(small, kind):
    photos, model = under(small, kind), of(small, likelihood="gaussian")
    border, center = small.images(range(3))
    whole = small.whole(range(3))
    known = torch.ones(3, 1, 12, 12, dtype=torch.bool)
    top, left, h, w = small.hole
    known[:, 0, top : top + h, left : left + w] = torch.from_numpy(~masks.unknown_of(photos, range(3)))
    with torch.no_grad():
        nats = -model.log_prob(whole, center, known=known).double().sum((1, 2, 3)).numpy()
        assert (nats < -model.log_prob(border, center).double().sum((1, 2, 3)).numpy()).all()
    for batch_size in (1, 2, 64):
        found = evaluate(model, photos, batch_size=batch_size)
        np.testing.assert_allclose(found.nats, nats, atol=1e-4)


def test_masks_are_those_of_the_image_whatever_else_is_asked(small):
    for kind in KINDS:
        photos = under(small, kind)
        whole = masks.unknown_of(photos, [0, 1, 2])
        assert np.array_equal(masks.unknown_of(photos, [2, 0]), whole[[2, 0]])
        masks._fixed.cache_clear()
        assert np.array_equal(masks.unknown_of(under(small, kind), [1]), whole[[1]])
        drawn = kind in ("rectangles", "strokes")
        assert (len({mask.tobytes() for mask in whole}) > 1) == drawn
        for seed in (0, 5):
            found = evaluate(of(small, seed), photos, seed=seed, limit=2)
            assert np.array_equal(found.unknown, whole[:2])
    assert masks.unknown_of(small, [0]) is None


def test_two_models_and_several_seeds_are_compared_under_one_mask(small):
    photos = under(small, "strokes")
    models = [of(small, seed) for seed in range(2)]
    one, other = (evaluate(model, photos) for model in models)
    found = versus.compare(one, [("B.pt", models[1])], photos)[0]
    assert found["nats_per_image"]["mean"] == pytest.approx(other.nats.mean(), abs=1e-4)
    both = mean_of([one, other])
    figures = summarise(both)
    assert figures["unknown_pixels"] == summarise(one)["unknown_pixels"]
    assert figures["nats_per_pixel"] == pytest.approx((one.nats + other.nats).mean() / 2 / one.unknown_pixels.mean())


@pytest.mark.parametrize("kind", KINDS)
def test_the_grid_hatches_what_is_unknown_and_samples_keep_the_rest(small, kind):
    photos = under(small, kind)
    rows = grid_rows(of(small, likelihood="gaussian"), photos, [2, 0], 2, seed=0)
    top, left, h, w = small.hole
    for row, image in zip(rows, (2, 0), strict=True):
        unknown = torch.zeros(12, 12, dtype=torch.bool)
        unknown[top : top + h, left : left + w] = torch.from_numpy(masks.unknown_of(photos, [image])[0])
        shown, original = row_images(row, small.hole), small.whole([image])[0]
        assert torch.equal(shown[-1], original)
        assert set(shown[0][:, unknown].unique().tolist()) <= {104, 152}
        for tile in shown:  # border, two samples, mean
            assert torch.equal(tile[:, ~unknown], original[:, ~unknown])
        assert not torch.equal(shown[1][:, unknown], original[:, unknown])


def test_the_report_says_what_is_masked_and_gives_figures_per_unknown_pixel(small, tmp_path):
    unknown = np.zeros((3, 4, 5), bool)
    unknown[0, 0, :4], unknown[1, :2], unknown[2, 3, 4] = True, True, True  # 4, 10 and 1 pixels
    masked = {"masks": "strokes", "unknown": unknown, "truth": None, "ssim": np.full(3, np.nan)}
    page = page_of(tmp_path, small, an_evaluation(**masked))
    assert "Masks: strokes: 5.0 pixels unknown on average, 25% of the hole." in page.text
    rows = page.rows("Figures")
    assert rows["nats per image"][0] == "160.00" and rows["nats per pixel"][0] == "32.0000"  # 480 nats, 15 pixels
    assert rows["bits per dim"][0] == f"{32 / (3 * math.log(2)):.4f}"
    assert "SSIM of the mean" not in rows and "its unknown ones alone count" in page.text
    certain = an_evaluation(**masked, nats=7.0 * unknown.sum((1, 2)))  # 7 nats a pixel, whatever the mask
    assert certain.whole_nats.tolist() == pytest.approx([140.0] * 3)
    plain = page_of(tmp_path / "plain", small, an_evaluation())
    assert "Masks" not in plain.text and "nearest known pixel" in plain.text


@pytest.mark.parametrize("tower", ["ift6266", "none"])
def test_a_model_that_cannot_tell_known_pixels_is_refused_in_one_line(tower, demo_file, tmp_path, monkeypatch):
    kind = {"tower": tower, "decoder": "contour" if tower == "ift6266" else "gated", "likelihood": "gaussian"}
    save_fresh(tmp_path / "old.pt", **kind)
    save_fresh(tmp_path / "new.pt", likelihood="gaussian")
    monkeypatch.setattr(command, "evaluate", None)  # nothing is scored
    data = ("--data", demo_file, "--masks", "half")
    for words in ((tmp_path / "old.pt", *data), (tmp_path / "new.pt", *data, "--versus", tmp_path / "old.pt")):
        done = in_process(words)
        assert done.code == 1 and done.stderr.count("\n") == 1, done
        assert f"{tmp_path / 'old.pt'}: its tower, {tower}, cannot tell which pixels are known" in done.stderr


def test_the_command_gives_the_same_under_masks_in_one_and_in_two_processes(root, demo_file, tmp_path):
    save_fresh(tmp_path / "a.pt", likelihood="gaussian")
    save_fresh(tmp_path / "b.pt", 1, likelihood="gaussian")
    words = (tmp_path / "a.pt", "--versus", tmp_path / "b.pt", "--data", demo_file, "--limit", 5, "--masks", "strokes")
    words += ("--captions", "first")
    outputs = ("--grid", tmp_path / "g.png", "--samples", 1, "--report", tmp_path / "r")
    command.main([str(word) for word in (*words, "--json", tmp_path / "one.json", *outputs)])
    assert (tmp_path / "g.png").exists() and "hatched" in (tmp_path / "r" / "report.html").read_text()
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    two = run_script(root, *words, "--batch-size", 2, "--json", tmp_path / "two.json", launcher=launcher)
    assert two.returncode == 0, two.stderr
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert one["masks"] == "strokes" and 0 < one["unknown_pixels"]["share"] < 1 and one["ssim"] is None
    assert one["unknown_pixels"] == two["unknown_pixels"]
    for key in ("nats_per_pixel", "bits_per_dim", "psnr_db", "nats_per_pixel_by_ring"):
        assert one[key] == pytest.approx(two[key], abs=1e-4), key
    assert one["versus"]["nats_per_image"] == pytest.approx(two["versus"]["nats_per_image"], abs=1e-3)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("size", "hole"), [(28, (0, 0, 28, 28)), (8, (3, 3, 1, 1)), (10, (0, 2, 5, 3))], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_holes_of_any_size_are_scored_and_drawn_under_masks(kind, size, hole):
    class Any(FakePhotos):
        def __init__(self):
            generator = torch.Generator().manual_seed(0)
            self.captions, self.masks, self.image_size, self.hole = ["", "a"], kind, size, hole
            self.border = torch.randint(0, 256, (2, 3, size, size), generator=generator, dtype=torch.uint8)
            self.center = self.border[channels_first(hole)].clone()
            self.border[channels_first(hole)] = 0

        def first_captions(self, indices):
            return [self.captions[index] for index in indices]

    photos, model = Any(), fresh_model(image_size=size, hole=hole, likelihood="gaussian")
    evaluation = evaluate(model, photos)
    found, unknown = summarise(evaluation), masks.unknown_of(photos, [0, 1])
    assert found["nats_per_pixel"] == pytest.approx(evaluation.nats.sum() / unknown.sum())
    by_ring = found["nats_per_pixel_by_ring"]
    assert len(by_ring) == distances(hole, size).max()
    shown = row_images(grid_rows(model, photos, [1], 1, seed=0)[0], hole)
    assert set(shown[0][channels_first(hole)][:, unknown[1]].unique().tolist()) <= {104, 152}
    assert torch.equal(shown[1][channels_first(hole)][:, ~unknown[1]], photos.center[1][:, ~unknown[1]])


def test_a_box_is_told_as_one(small):
    found = summarise(evaluate(of(small, likelihood="gaussian"), small))
    assert found["masks"] == "box" and found["unknown_pixels"] == {"mean": 20.0, "share": 1.0}
    assert found["bits_per_unknown_subpixel"] == found["bits_per_dim"] > 0
    assert "masks" not in table(found)
