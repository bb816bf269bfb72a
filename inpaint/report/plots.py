"""The report's four plots as SVG, each readable at the width of a phone.

Colors for color-blind readers: those of Okabe and Ito [1], and the map cividis [2]. Text is drawn as outlines, so the
page looks the same on every machine.

[1] Okabe, Ito, Color Universal Design, 2008. [2] Nunez et al., PLoS ONE 13(7), 2018.
"""

import io

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#595959"
STYLE = {
    "svg.fonttype": "path",
    "svg.hashsalt": "report",  # the same figures give the same bytes
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
}


def curve_plot(curve, step=None):
    """Nats per image over training steps; the y axis leaves out the first twentieth of the training.

    Args:
      curve: a `training_curve.Curve`.
      step: of the checkpoint, marked in the plot; None if unknown.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _axes("training step", "nats per image")
        if len(curve.train):
            axes.plot(curve.train_steps, curve.train, color=BLUE, linewidth=0.8, label="training batches")
        if len(curve.val):
            axes.plot(curve.val_steps, curve.val, color=ORANGE, marker="o", markersize=4, label="val")
        if step is not None:
            axes.axvline(step, color=GREY, linestyle=":", linewidth=1.2, label="this checkpoint")
        shown = np.concatenate([curve.train[len(curve.train) // 20 :], curve.val])
        low, high = shown.min(), shown.max()
        margin = 0.05 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
        _legend(axes)
        return _svg(figure)


def ring_plot(means, intervals, floor=None):
    """Nats per pixel over the distance to the border, with their 95 % intervals.

    Args:
      means: float (R,), of the rings at distance 1 to R.
      intervals: float (R, 2), or None.
      floor: float (R,), the Bernoulli cross-entropy's floor; None for a likelihood.
    """
    distance = np.arange(1, len(means) + 1)
    with matplotlib.rc_context(STYLE):
        figure, axes = _axes("distance to the border (pixels)", "nats per pixel")
        if intervals is not None:
            low, high = np.transpose(intervals)
            axes.fill_between(distance, low, high, color=BLUE, alpha=0.25, linewidth=0, label="95 % interval")
        axes.plot(distance, means, color=BLUE, marker="o", markersize=3.5, label="mean over images")
        if floor is not None:
            axes.plot(distance, floor, color=GREY, linestyle="--", label="floor")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(axes)
        return _svg(figure)


def map_plot(pixels):
    """Map of the hole: float (h, w), nats per pixel."""
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure, axes = _axes("column of the hole (pixels)", "row of the hole (pixels)", size=(5.2, 3.9))
        image = axes.imshow(pixels, cmap="cividis", interpolation="nearest")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(6, integer=True))
        figure.colorbar(image, ax=axes, label="nats per pixel")
        return _svg(figure)


def gain_plot(gains, mean):
    """Histogram of the caption gain (nats per image) with its mean; the end bars hold all values beyond."""
    low, high = np.percentile(gains, [0.5, 99.5])
    low, high = min(low, 0.0), max(high, 0.0)
    edges = np.linspace(low, high, 41) if high - low > 1e-6 else np.linspace(-0.5, 0.5, 41)
    with matplotlib.rc_context(STYLE):
        figure, axes = _axes("gain of the caption over none (nats per image)", "images")
        axes.hist(np.clip(gains, edges[0], edges[-1]), bins=edges, color=BLUE, edgecolor="white", linewidth=0.3)
        axes.axvline(0, color=GREY, linewidth=1, label="no gain")
        axes.axvline(mean, color=ORANGE, linewidth=1.5, linestyle="--", label=f"mean {mean:+.2f}")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(axes)
        return _svg(figure)


def _axes(x, y, size=(4.8, 3.0)):
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _legend(axes):
    """Legend in a line above the plot."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8.5, handlelength=1.5, columnspacing=1, borderpad=0.2
    )


def _svg(figure):
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
