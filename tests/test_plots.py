"""What the report's plots draw: every line, bar and map from its own figures, at its own place."""

import numpy as np
import pytest

from inpaint.report import plots as report_plots
from inpaint.report.training_curve import Curve


@pytest.fixture(autouse=True)
def keeps_figures(monkeypatch):
    """A plot gives matplotlib's Figure, not its SVG."""
    monkeypatch.setattr(report_plots, "_svg", lambda figure: figure)


def lines_of(figure):
    """{label: (x, y)} of a plot's lines."""
    axes = figure.axes[0]
    return {line.get_label(): tuple(np.asarray(data).tolist() for data in line.get_data()) for line in axes.lines}


def test_the_curve_shows_both_splits_at_their_steps_and_the_checkpoint():
    curve = Curve(*map(np.array, ([20.0, 40, 60], [9.0, 8, 7], [50.0, 100], [6.5, 5.5])))
    lines = lines_of(report_plots.curve_plot(curve, 70))
    assert lines == {
        "training batches": ([20, 40, 60], [9, 8, 7]),
        "val": ([50, 100], [6.5, 5.5]),
        "this checkpoint": ([70, 70], [0, 1]),
    }
    assert "this checkpoint" not in lines_of(report_plots.curve_plot(curve))


def test_the_curve_s_axis_leaves_out_the_first_twentieth_of_training_alone():
    steps = np.arange(100.0)
    train = np.where(steps < 5, 1000.0, 200 - steps)  # 195 at step 5, 101 at the end
    figure = report_plots.curve_plot(Curve(steps, train, np.array([50.0]), np.array([300.0])))
    low, high = figure.axes[0].get_ylim()
    assert (low, high) == pytest.approx((101 - 0.05 * 199, 300 + 0.05 * 199))
    figure = report_plots.curve_plot(Curve(steps, train, np.array([]), np.array([])))
    assert figure.axes[0].get_ylim() == pytest.approx((101 - 0.05 * 94, 195 + 0.05 * 94))


def test_rings_are_drawn_from_distance_one_outwards_with_their_intervals_and_floor():
    figure = report_plots.ring_plot([3.0, 5.0, 9.0], [[2, 4], [3, 6], [8, 11]], np.array([1.0, 1.5, 2.0]))
    assert lines_of(figure) == {
        "mean over images": ([1, 2, 3], [3, 5, 9]),
        "floor": ([1, 2, 3], [1, 1.5, 2]),
    }
    (band,) = figure.axes[0].collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert corners >= {(1, 2), (1, 4), (2, 3), (2, 6), (3, 8), (3, 11)}
    assert not report_plots.ring_plot([3.0, 5.0], None).axes[0].collections


def test_the_map_lies_as_the_hole_does():
    pixels = np.arange(6.0).reshape(2, 3)
    figure = report_plots.map_plot(pixels)
    (image,) = figure.axes[0].images
    assert np.array_equal(image.get_array(), pixels) and image.origin == "upper"
    assert figure.axes[0].get_xlabel() == "column of the hole (pixels)"
    assert figure.axes[1].get_ylabel() == "nats per pixel"


def test_the_histogram_counts_every_image_and_marks_the_mean():
    gains = np.concatenate([np.full(90, 1.0), np.full(9, -2.0), [5.0]])
    figure = report_plots.gain_plot(gains, 5.72)
    bars = figure.axes[0].patches
    assert sum(bar.get_height() for bar in bars) == 100
    assert bars[-1].get_height() >= 1  # what lies beyond is pooled in the end bar
    lines = lines_of(figure)
    assert lines["mean +5.72"][0] == [5.72, 5.72] and lines["no gain"][0] == [0, 0]
    below = sum(bar.get_height() for bar in bars if bar.get_x() + bar.get_width() <= 1e-9)
    assert below == 9


def test_the_histogram_s_ends_hold_all_but_one_image_in_a_hundred():
    gains = np.linspace(-10, 30, 2001)
    edges = [bar.get_x() for bar in report_plots.gain_plot(gains, 10.0).axes[0].patches]
    assert edges[0] == pytest.approx(np.percentile(gains, 0.5))
    last = report_plots.gain_plot(gains, 10.0).axes[0].patches[-1]
    assert last.get_x() + last.get_width() == pytest.approx(np.percentile(gains, 99.5))
