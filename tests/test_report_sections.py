"""The report's pictures, captions, words and plots: each stands where it belongs, with its own figures."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from made_up import an_evaluation, page_of, pixels_of, repeated, three_photos, twenty_two_images, with_gains

from inpaint.evaluation.statistics import mean_and_ci95
from inpaint.report import plots as report_plots
from inpaint.report import report
from inpaint.report.training_curve import Curve


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return three_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def page(photos, tmp_path):
    """Write the page of an evaluation, and parse it."""
    return functools.partial(page_of, tmp_path, photos)


def test_samples_of_the_report_stand_under_their_own_titles(page):
    shown = {
        title: pixels_of(source)[:, 3:7, 2:7]
        for heading, source, title in page(an_evaluation()).figures
        if heading == "Samples"
    }
    assert list(shown) == ["border", "sample 0", "sample 1", "mean", "original"]
    values = {title: np.unique(pixels).tolist() for title, pixels in shown.items()}
    assert values.pop("border") == [104, 152]  # hatched
    assert values == {"sample 0": [77], "sample 1": [78], "mean": [79], "original": [80]}
    assert "the caption of a row" in page(an_evaluation()).text


def test_captions_that_helped_most_and_least_stand_under_their_own_photos(page):
    found = page(an_evaluation())
    cases = [(source, text) for heading, source, text in found.figures if heading == "What a caption is worth"]
    (_, helped), (most, told_most), (least, told_least) = cases
    assert helped.startswith("Captions helped on average on 100% of 2 images")
    assert (told_most, told_least) == ("+10.00 nats: a cat", "+3.00 nats: a dog")
    assert np.unique(pixels_of(most)).tolist() == [140] and np.unique(pixels_of(least)).tolist() == [40]


def test_six_captions_that_helped_most_come_first_and_six_least_last_first(page):
    gains, evaluation = twenty_two_images()
    found = page(evaluation)
    cases = [(source, text) for heading, source, text in found.figures if heading == "What a caption is worth"][1:]
    assert [text.split(" ")[0] for _, text in cases] == [
        f"+{gain}.00" for gain in (21, 20, 19, 18, 17, 16, 0, 1, 2, 3, 4, 5)
    ]
    for source, text in cases:
        gain = float(text.split(" ")[0])
        photo = int(np.flatnonzero(gains == gain)[0]) % 3
        assert np.unique(pixels_of(source)).tolist() == [40 + 50 * photo], text
        assert f"w{int(gain)} " in text
    assert "The caption helped on 95% of 22 images" in found.text  # not on the one that gained 0


def test_of_an_image_with_several_captions_the_best_and_the_worst_are_shown(page):
    """The second photo's captions gain 5 and -7 nats, the mean is -1; the first photo's one gains 2."""
    evaluation = an_evaluation(
        captions=[["a dog"], ["a bird", "a plane"], []],
        caption_nats=[np.array([118.0]), np.array([295.0, 307.0]), np.zeros(0)],
        nats=np.array([118.0, 301.0, 60.0]),
        nats_none=np.array([120.0, 300.0, 60.0]),
    )
    found = page(evaluation)
    cases = [(source, text) for heading, source, text in found.figures if heading == "What a caption is worth"]
    assert [text for _, text in cases[1:]] == ["+5.00 nats: a bird", "-7.00 nats: a plane"]
    assert [np.unique(pixels_of(source)).tolist() for source, _ in cases[1:]] == [[90], [90]]
    assert cases[0][1].startswith("Captions helped on average on 50% of 2 images")


def test_words_stand_with_their_own_gains(page):
    gains, evaluation = twenty_two_images()
    found = page(evaluation)
    rows = [row for row in found.tables["Which words gain most"] if row[0] != "word"]
    assert [row[:3] for row in rows] == [["big", "20", "+11.50"], ["thing", "22", "+10.50"]]  # means of 2..21, of 0..21
    assert "the first 2 of 2 words that are in the captions of 20 images or more" in found.text
    again = page(dataclasses.replace(evaluation, seed=evaluation.seed + 1))
    other = [row for row in again.tables["Which words gain most"] if row[0] != "word"]
    assert [row[:3] for row in other] == [row[:3] for row in rows] and other != rows  # the seed of the bootstrap


def test_the_first_fifteen_words_are_those_that_gain_most(page):
    words = [f"x{number:02}" for number in range(20)]
    captions = [word for word in words for _ in range(20)]
    found = page(with_gains(captions, np.repeat(np.arange(20.0), 20)))
    rows = [row[0] for row in found.tables["Which words gain most"] if row[0] != "word"]
    assert rows == words[:-16:-1]
    assert "the first 15 of 20 words" in found.text


def test_no_gain_is_told_with_its_own_reason(page):
    assert "This model takes no captions." in page(an_evaluation(uses_captions=False)).text
    assert "None of these images has a caption." in page(an_evaluation(captions=[[], [], []], truth=None)).text


@pytest.fixture
def drawn(monkeypatch):
    """What the plots of a page are given, by their names."""
    given = {}

    def keep(name):
        real = getattr(report_plots, name)

        def plot(*arguments):
            given[name] = arguments
            return real(*arguments)

        monkeypatch.setattr(report_plots, name, plot)

    for name in ("curve_plot", "ring_plot", "map_plot", "gain_plot"):
        keep(name)
    return given


def test_plots_are_given_their_own_figures(page, drawn, monkeypatch):
    curve = Curve(*map(np.array, ([20.0, 40, 60], [9.0, 8, 7], [50.0, 100], [6.5, 5.5])))
    monkeypatch.setattr(report, "read_curve", lambda checkpoint: (curve, ""))
    evaluation = repeated(an_evaluation(), 10)
    found = page(evaluation)
    assert drawn["curve_plot"] == (curve, 30)
    assert "2 evaluations on val, the last 5.50 at step 100." in found.text
    means, intervals, floor = drawn["ring_plot"]
    assert means == pytest.approx([3, 10]) and floor is None
    assert intervals == [mean_and_ci95([*ring] * 10, 3, 2000)["ci95"] for ring in ((1, 2, 6), (5, 7, 18))]
    assert "3.000 nats per pixel beside the border, 10.000 at distance 2." in found.text
    (pixels,) = drawn["map_plot"]
    assert pixels is evaluation.pixel_nats
    gains, mean = drawn["gain_plot"]
    assert gains.tolist() == [3, 8] * 10 and mean == 5.5


def test_floor_of_a_cross_entropy_is_drawn_by_ring(page, drawn):
    page(an_evaluation(proper=False))
    floors = [3 * entropy(level / 255) for level in (40, 90, 140)]
    assert drawn["ring_plot"][2] == pytest.approx([np.mean(floors)] * 2)


def entropy(p):
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def test_provenance_names_checkpoint_seed_and_training(page):
    rows = page(an_evaluation()).tables["Provenance"]
    told = {first: rest for first, *rest in rows}
    assert told["seed of samples, captions lent and bootstrap"] == ["3"]
    assert told["trained"] == ["30 steps in 1.5 minutes"]
    assert [rest[0] for first, *rest in rows if first == "file"][1].endswith("A.pt")
