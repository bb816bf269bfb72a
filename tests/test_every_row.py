"""Each row of the report, each line of the printed table and each key of the JSON shows its own figure.

(users' files, G; attack: "one of the report with another value in every row")
"""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from made_up import OTHER, an_evaluation, page_of, three_photos, twelve_images

from data_prep.files import write_json
from inpaint.evaluation import versus
from inpaint.evaluation.summary import summarise, table

ROWS = {
    "nats per image": ("160.00", "60.00 to 300.00"),
    "nats per pixel": ("8.0000", "3.0000 to 15.0000"),
    "bits per dim": ("3.8472", "1.4427 to 7.2135"),  # 160, 60, 300 / (60 ln 2)
    "caption gain over none, nats": ("+5.50", "+3.00 to +8.00"),
    "caption gain over another image's, nats": ("+16.00", "+11.00 to +21.00"),
    "nats above the truth, without captions": ("156.67", "61.00 to 293.00"),
    "nats above the truth, with captions": ("86.00", "56.00 to 116.00"),
    "PSNR of the mean, dB": ("14.00", "10.00 to 20.00"),
    "SSIM of the mean": ("0.400", "0.100 to 0.700"),
    "nats of the other model minus these": ("+1.25", "+0.50 to +2.75"),
}
CROSS_ENTROPY = {
    "floor of the cross-entropy, nats": ("25.00", "10.00 to 45.00"),
    "excess over it, nats": ("135.00", "50.00 to 255.00"),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return three_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def page(photos, tmp_path):
    """Write the page of an evaluation, and parse it."""
    return functools.partial(page_of, tmp_path, photos)


def test_each_row_of_the_report_shows_its_own_figure(page):
    assert page(an_evaluation()).rows("Figures") == ROWS
    shown = [figure for row in ROWS.values() for figure in row]
    assert len(set(shown)) == len(shown)


def test_each_row_of_a_cross_entropy_s_report_shows_its_own_figure(page):
    same = ("nats per image", "nats per pixel", "caption", "PSNR", "SSIM", "nats of")
    expected = {name: row for name, row in ROWS.items() if name.startswith(same)} | CROSS_ENTROPY
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
    assert page(grey).rows("Figures")["bits per dim"] == ("11.5416", "4.3281 to 21.6404")
    assert summarise(grey)["bits_per_dim"] == pytest.approx(160 / (20 * math.log(2)))


def test_each_key_of_the_json_holds_its_own_figure(tmp_path):
    write_json(tmp_path / "o.json", summarise(an_evaluation()))
    found = json.loads((tmp_path / "o.json").read_text())
    assert found == {
        "schema": 1,
        "data": "photos.h5",
        "split": "val",
        "images": 3,
        "decoder": "gated",
        "likelihood": "gaussian",
        "uses_captions": True,
        "levels": 256,
        "nats_per_image": {"mean": 160, "stderr": pytest.approx(math.sqrt(31200 / 2 / 3))},
        "nats_per_pixel": 8,
        "bits_per_dim": pytest.approx(160 / (60 * math.log(2))),
        "bernoulli_cross_entropy": None,
        "caption_gain_nats_per_image": {
            "over_none": {"mean": 5.5, "ci95": [3, 8]},
            "over_swapped": {"mean": 16, "ci95": [11, 21]},
        },
        "psnr_db": 14,
        "ssim": pytest.approx(0.4),
        "images_per_second": 37,
        "captioned_images": 2,
        "seed": 3,
        "truth": {"border": 7, "border_caption": 4, "caption": 2},
        "nats_above_truth": {"with_caption": 86, "without_caption": pytest.approx(470 / 3)},
        "nats_per_pixel_by_ring": [3, 10],
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
        ("gain over no caption", "+5.50 nats per image, 95 % interval [+3.00, +8.00]"),
        ("gain over a swapped one", "+16.00 nats per image, 95 % interval [+11.00, +21.00]"),
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
        ("its nats minus these", "+1.25 nats per image, 95 % interval [+0.50, +2.75], paired"),
        ("", "positive: A.pt is the better one; on 67% of the images A.pt has fewer nats"),
    ]


def test_the_seed_of_the_intervals_is_the_evaluation_s(page):
    """With many images an interval depends on the resampling, and so on its seed."""
    gains, evaluation = twelve_images()
    pages = [page(dataclasses.replace(evaluation, seed=seed)).rows("Figures") for seed in (3, 3, 4)]
    assert pages[0] == pages[1]
    for row in ("caption gain over none, nats", "nats per image"):
        assert pages[0][row][0] == pages[2][row][0] and pages[0][row][1] != pages[2][row][1], row
    summaries = [summarise(dataclasses.replace(evaluation, seed=seed)) for seed in (3, 3, 4)]
    swapped = [summary["caption_gain_nats_per_image"] for summary in summaries]
    assert swapped[0] == swapped[1]
    for key in ("over_none", "over_swapped"):
        assert swapped[0][key]["mean"] == swapped[2][key]["mean"] and swapped[0][key] != swapped[2][key]
