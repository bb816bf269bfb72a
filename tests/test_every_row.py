"""Each row of the report, each line of the printed table and each key of the JSON shows its own figure."""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from made_up import OTHER, an_evaluation, page_of, repeated, three_photos, twenty_two_images

from data_prep.files import write_json
from inpaint.evaluation import versus
from inpaint.evaluation.statistics import as_texts, mean_and_ci95
from inpaint.evaluation.summary import summarise, table

FIGURES = {  # the mean, as shown; the form of a figure; the figures of the images
    "nats per image": ("160.00", "{:.2f}", [120, 300, 60]),
    "nats per pixel": ("8.0000", "{:.4f}", [6, 15, 3]),
    "bits per dim": ("3.8472", "{:.4f}", np.array([120, 300, 60]) / (60 * math.log(2))),
    "caption gain over none, nats": ("+5.50", "{:+.2f}", [3, 8]),
    "caption gain over another image's, nats": ("+16.00", "{:+.2f}", [11, 21]),
    "caption gain over an unlike one, nats": ("+35.00", "{:+.2f}", [30, 40]),  # over the first caption's 58
    "caption gain over a mixture, nats": ("+2.00", "{:+.2f}", [1, 3]),
    "gain of 2 captions at once over none, nats": ("+13.00", "{:+.2f}", [13]),
    "nats above the truth, without captions": ("156.67", "{:.2f}", [116, 293, 61]),
    "nats above the truth, with captions": ("86.00", "{:.2f}", [116, 56]),
    "PSNR of the mean, dB": ("14.00", "{:.2f}", [10, 12, 20]),
    "SSIM of the mean": ("0.400", "{:.3f}", [0.1, 0.4, 0.7]),
    "floor of the cross-entropy, nats": ("25.00", "{:.2f}", [20, 45, 10]),
    "excess over it, nats": ("135.00", "{:.2f}", [100, 255, 50]),
}
OF_CROSS_ENTROPY = ("floor of the cross-entropy, nats", "excess over it, nats")
COMPARED = {"nats of the other model minus these": ("+1.25", "+0.50 to +2.75")}
ROWS = {name: (mean, "–") for name, (mean, *_) in FIGURES.items() if name not in OF_CROSS_ENTROPY} | COMPARED


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return three_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def page(photos, tmp_path):
    """Write the page of an evaluation, and parse it."""
    return functools.partial(page_of, tmp_path, photos)


def test_each_row_of_the_report_shows_its_own_figure(page):
    found = page(an_evaluation())
    assert found.rows("Figures") == ROWS
    assert "the mean probability with 6 random captions of other images" in found.text
    assert len({mean for mean, *_ in FIGURES.values()}) == len(FIGURES)


def test_each_row_of_the_report_shows_its_own_interval(page):
    """60 images, of which 40 have captions, and 20 two."""
    proper, cross_entropy = repeated(an_evaluation(), 20), repeated(an_evaluation(proper=False), 20)
    found = page(proper).rows("Figures") | page(cross_entropy).rows("Figures")
    for name, (mean, form, values) in FIGURES.items():
        expected = as_texts(mean_and_ci95(np.tile(values, 20), seed=3), form)
        assert found[name] == expected and expected[0] == mean and " to " in expected[1], name


def test_each_row_of_a_cross_entropy_s_report_shows_its_own_figure(page):
    same = ("nats per image", "nats per pixel", "caption", "gain of", "PSNR", "SSIM", "nats of")
    expected = {name: row for name, row in ROWS.items() if name.startswith(same)}
    expected |= {name: (FIGURES[name][0], "–") for name in OF_CROSS_ENTROPY}
    found = page(an_evaluation(proper=False, likelihood="bernoulli"))
    assert found.rows("Figures") == expected
    assert "what this likelihood samples is its mean" in found.text.lower()
    titles = [title for heading, _, title in found.figures if heading == "Samples"]
    assert titles == ["border", "mean", "original"]


def test_rows_of_what_a_model_does_not_define_are_left_out(page):
    none = np.full(3, np.nan)
    found = page(an_evaluation(uses_captions=False, truth=None, psnr=none, ssim=none), other=None)
    assert list(found.rows("Figures")) == ["nats per image", "nats per pixel", "bits per dim"]


def test_grey_images_have_a_third_of_the_sub_pixels(page):
    grey = an_evaluation(channels=1)
    assert page(grey).rows("Figures")["bits per dim"] == ("11.5416", "–")
    assert summarise(grey)["bits_per_dim"] == pytest.approx(160 / (20 * math.log(2)))


def test_each_key_of_the_json_holds_its_own_figure(tmp_path):
    write_json(tmp_path / "o.json", summarise(an_evaluation()))
    found = json.loads((tmp_path / "o.json").read_text())
    assert found == {
        "schema": 1,
        "data": "photos.h5",
        "split": "val",
        "images": 3,
        "split_images": 3,
        "decoder": "gated",
        "likelihood": "gaussian",
        "uses_captions": True,
        "levels": 256,
        "nats_per_image": {"mean": 160, "stderr": pytest.approx(math.sqrt(31200 / 2 / 3))},
        "nats_per_pixel": 8,
        "bits_per_dim": pytest.approx(160 / (60 * math.log(2))),
        "bernoulli_cross_entropy": None,
        "caption_gain_nats_per_image": {
            "over_none": {"mean": 5.5, "ci95": None, "of": "this checkpoint"},
            "over_swapped": {"mean": 16, "ci95": None, "of": "this checkpoint"},
            "over_unlike": {"mean": 35, "ci95": None, "of": "this checkpoint"},
            "over_mixture": {"mean": 2, "ci95": None, "of": "this checkpoint"},
        },
        "caption_gain_by_count": {
            "1": {"mean": 6.5, "ci95": None, "of": "this checkpoint"},
            "2": {"mean": 13, "ci95": None, "of": "this checkpoint"},
            "3": None,
            "5": None,
        },
        "psnr_db": 14,
        "ssim": pytest.approx(0.4),
        "images_per_second": 37,
        "captions": "all",
        "captioned_images": 2,
        "captions_scored": 3,
        "captions_of_mixture": 6,
        "seed": 3,
        "truth": {"border": 7, "border_caption": 4, "caption": 2},
        "nats_above_truth": {"with_caption": 86, "without_caption": pytest.approx(470 / 3)},
        "nats_per_pixel_by_ring": [3, 10],
        "masks": "box",
        "unknown_pixels": {"mean": 20, "share": 1},
        "bits_per_unknown_subpixel": pytest.approx(160 / (60 * math.log(2))),
    }
    cross_entropy = summarise(an_evaluation(proper=False))
    assert cross_entropy["bits_per_dim"] is None and cross_entropy["nats_above_truth"] is None
    assert cross_entropy["bernoulli_cross_entropy"] == {
        "nats_per_image": 160,
        "nats_per_pixel": 8,
        "floor_nats_per_image": 25,
        "excess_nats_per_image": 135,
    }
    few = summarise(an_evaluation(levels=16, uses_captions=False))
    assert few["levels"] == 16 and few["caption_gain_nats_per_image"] is None and few["captioned_images"] == 0


UNKNOWN = "95 % interval unknown under 20 images"


def lines_of(text):
    """[(label, text)] of a printed table."""
    return [(line[:24].strip(), line[24:]) for line in text.splitlines()]


def test_each_line_of_the_printed_table_shows_its_own_figure():
    assert lines_of(table(summarise(an_evaluation()))) == [
        ("model", "gated, gaussian, captions used"),
        ("data", "photos.h5, val: 3 images"),
        ("nats per image", "160.00 ± 72.11"),
        ("nats per pixel", "8.0000"),
        ("bits per dim", "3.8472"),
        ("gain over no caption", f"+5.50 nats per image, {UNKNOWN}, of this checkpoint"),
        ("gain over a swapped one", f"+16.00 nats per image, {UNKNOWN}, of this checkpoint"),
        ("gain over an unlike one", f"+35.00 nats per image, {UNKNOWN}, of this checkpoint"),
        ("gain over a mixture", f"+2.00 nats per image, {UNKNOWN}, of this checkpoint"),
        ("so many at once", "1: +6.50, –; 2: +13.00, –"),
        ("known", "the truth: 7.000 nats without a caption, 4.000 with it"),
        ("above it, no caption", "156.67 nats"),
        ("above it, captioned", "86.00 nats"),
        ("PSNR of the mean", "14.000 dB"),
        ("SSIM of the mean", "0.400"),
        ("speed of log_prob", "37 images/s"),
    ]
    coarse = an_evaluation(proper=False, levels=16, uses_captions=False, truth=None, psnr=np.full(3, np.nan))
    assert lines_of(table(summarise(coarse))) == [
        ("model", "gated, gaussian of 16 levels, captions not used"),
        ("data", "photos.h5, val: 3 images"),
        ("nats per image", "160.00 ± 72.11"),
        ("nats per pixel", "8.0000"),
        ("", "a cross-entropy of intensities, not a likelihood of 8-bit values: no bits per dim"),
        ("its floor", "25.00 nats, the entropy of the targets; excess 135.00"),
        ("SSIM of the mean", "0.400"),
        ("speed of log_prob", "37 images/s"),
    ]


def test_each_line_of_a_comparison_shows_its_own_figure():
    summary = summarise(an_evaluation()) | {"checkpoint": "A.pt", "versus": OTHER}
    assert lines_of(versus.table(summary)) == [
        ("versus", "B.pt (contour, categorical, captions not used)"),
        ("its nats per image", "333.00"),
        ("its nats minus these", "+1.25 nats per image, 95 % interval [+0.50, +2.75], of these checkpoints, paired"),
        ("", "positive: A.pt is the better one; on 67% of the images A.pt has fewer nats"),
    ]


def test_the_seed_of_the_intervals_is_the_evaluation_s(page):
    """With many images an interval depends on the resampling, and so on its seed."""
    gains, evaluation = twenty_two_images()
    pages = [page(dataclasses.replace(evaluation, seed=seed)).rows("Figures") for seed in (3, 3, 4)]
    assert pages[0] == pages[1]
    for row in ("caption gain over none, nats", "nats per image"):
        assert pages[0][row][0] == pages[2][row][0] and pages[0][row][1] != pages[2][row][1], row
    summaries = [summarise(dataclasses.replace(evaluation, seed=seed)) for seed in (3, 3, 4)]
    swapped = [summary["caption_gain_nats_per_image"] for summary in summaries]
    assert swapped[0] == swapped[1]
    for key in ("over_none", "over_swapped", "over_unlike", "over_mixture"):
        assert swapped[0][key]["mean"] == swapped[2][key]["mean"] and swapped[0][key] != swapped[2][key]
