"""An evaluation made up of three images in which every figure has another value, and its report taken apart.

Three images have no interval; `repeated` gives their figures to more, which have one and the same means.
"""

import base64
import dataclasses
import io
from html.parser import HTMLParser

import numpy as np
import torch
from data_makers import run
from PIL import Image

from inpaint.dataset import Photos
from inpaint.evaluation.caption_figures import CaptionOptions
from inpaint.evaluation.figures import Evaluation
from inpaint.evaluation.summary import summarise
from inpaint.grid import Row
from inpaint.report import report

HOLE = (3, 2, 4, 5)  # 20 pixels, 60 sub-pixels; 14 pixels touch the border, 6 are inside


def three_photos(folder):
    """The val split of a file of three photos, 12 x 12, each of one color: 40, 90, 140."""
    for split in ("train", "val"):
        (folder / split).mkdir()
        for number in range(3):
            pixels = np.full((12, 12, 3), 40 + 50 * number, np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{split}{number}.png")
    hole = ",".join(map(str, HOLE))
    out = folder / "o.h5"
    done = run("--folder", folder, "--out", out, "--image-size", 12, "--hole", hole, "--workers", 1)
    assert done.returncode == 0, done.stderr
    return Photos(out, "val")


def an_evaluation(**changes):
    figures = {
        "hole": HOLE,
        "image_size": 12,
        "channels": 3,
        "split": "val",
        "split_images": 3,
        "data": "photos.h5",
        "decoder": "gated",
        "likelihood": "gaussian",
        "uses_captions": True,
        "levels": 256,
        "proper": True,
        "truth": {"border": 7.0, "border_caption": 4.0, "caption": 2.0},
        "seed": 3,
        "indices": np.arange(3),
        "options": CaptionOptions("all", 6),
        "captions": [["a dog"], [], ["a cat", "one cat"]],
        "nats": np.array([120.0, 300.0, 60.0]),
        "caption_nats": [np.array([120.0]), np.zeros(0), np.array([58.0, 62.0])],
        "nats_none": np.array([123.0, 300.0, 68.0]),
        "nats_swapped": np.array([131.0, np.nan, 81.0]),
        "lent": [[2], [], [0]],
        "nats_unlike": np.array([150.0, np.nan, 98.0]),
        "unlike": np.array([2, -1, 0]),
        "nats_mixture": np.array([121.0, np.nan, 63.0]),
        "nats_at_once": np.array([[120.0, *[np.nan] * 3], [np.nan] * 4, [58.0, 55.0, np.nan, np.nan]]),
        "floor": np.array([20.0, 45.0, 10.0]),
        "pixel_nats": np.arange(20.0).reshape(4, 5),
        "ring_nats": np.array([[1.0, 5.0], [2.0, 7.0], [6.0, 18.0]]),
        "psnr": np.array([10.0, 12.0, 20.0]),
        "ssim": np.array([0.1, 0.4, 0.7]),
        "images_per_second": 37.0,
    }
    return Evaluation(**figures | changes)


PER_IMAGE = ("captions", "caption_nats", "lent", "indices", "nats", "nats_none", "nats_swapped", "nats_unlike")
PER_IMAGE += ("unlike", "nats_mixture", "nats_at_once", "floor", "ring_nats", "psnr", "ssim")


def repeated(evaluation, times):
    """The evaluation of so many times the images, all with the same figures."""

    def longer(value):
        return value * times if isinstance(value, list) else np.concatenate([value] * times)

    return dataclasses.replace(evaluation, **{name: longer(getattr(evaluation, name)) for name in PER_IMAGE})


def with_gains(captions, gains, **changes):
    """An evaluation of images that have one caption each, which gains so many nats."""
    n = len(gains)
    every = {name: np.arange(float(n)) for name in ("floor", "psnr", "ssim")}
    others = {name: np.full(n, 100.0) for name in ("nats_none", "nats_swapped", "nats_unlike", "nats_mixture")}
    return an_evaluation(
        **{
            "indices": np.arange(n) % 3,
            "captions": [[caption] for caption in captions],
            "nats": 100 - gains,
            "caption_nats": [np.array([100 - gain]) for gain in gains],
            "lent": [[(i + 1) % n] for i in range(n)],
            "unlike": (np.arange(n) + 1) % n,
            "nats_at_once": np.stack([100 - gains, *[np.full(n, np.nan)] * 3], axis=1),
            "ring_nats": np.ones((n, 2)),
            "truth": None,
        }
        | others
        | every
        | changes
    )


def twenty_two_images():
    """(gains, evaluation) of as many captioned images, each of the three photos; they gain 0 to 21 nats."""
    gains = np.random.default_rng(0).permutation(22).astype(float)
    captions = [f"w{int(gain)} {'big ' if gain > 1 else ''}thing" for gain in gains]
    return gains, with_gains(captions, gains)


OTHER = {
    "checkpoint": "B.pt",
    "decoder": "contour",
    "likelihood": "categorical",
    "uses_captions": False,
    "nats_per_image": {"mean": 333.0, "stderr": 1.0},
    "gain_nats_per_image": {"mean": 1.25, "ci95": [0.5, 2.75], "of": "these checkpoints"},
    "better_on": 2 / 3,
}


def page_of(folder, photos, evaluation, other=OTHER, step=30):
    """The report of an evaluation, written to a folder and parsed."""
    summary = summarise(evaluation) | {"checkpoint": str(folder / "A.pt"), "checkpoint_sha256": "f" * 64}
    if other:
        summary["versus"] = other
    pixels = torch.zeros(3, 12, 12, dtype=torch.uint8)
    center = torch.full((3, 4, 5), 77, dtype=torch.uint8)
    rows = [Row(pixels, torch.stack([center, center + 1]), center.float() + 2.4, center + 3, "the caption of a row")]
    checkpoint = {"progress": {"step": step, "seconds": 90.0}, "config": {}, "model": {}}
    path = report.write(folder / "page", evaluation, summary, photos, checkpoint, rows)
    return Page(path.read_text(encoding="utf-8"))


class Page(HTMLParser):
    """A page's sections: {heading: [rows of the tables, lists of cells]}, its images and captions, its text."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.figures, self.text, self.heading, self.within = {}, [], "", "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.within.append(tag)
        if tag == "h2":
            self.heading = ""
        if tag == "tr":
            self.tables.setdefault(self.heading, []).append([])
        if tag in ("td", "th"):
            self.tables[self.heading][-1].append("")
        if tag == "figure":
            self.figures.append([self.heading, None, ""])
        if tag == "img":
            self.figures[-1][1] = dict(attributes)["src"]
        if tag in ("img", "meta"):
            self.within.pop()

    def handle_endtag(self, tag):
        self.within.pop()

    def handle_data(self, data):
        if "h2" in self.within:
            self.heading += data
        if {"td", "th"} & set(self.within):
            self.tables[self.heading][-1][-1] += data
        if "figcaption" in self.within:
            self.figures[-1][2] += data
        self.text += data

    def rows(self, heading):
        """{first cell: the others} of a section's table, each first cell once."""
        rows = [row for row in self.tables[heading] if row != ["", "mean", "95 % interval"]]
        assert len({first for first, *_ in rows}) == len(rows)
        return {first: tuple(rest) for first, *rest in rows}


def pixels_of(source):
    """The image of a data URI, uint8 (3, H, W)."""
    with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as image:
        return np.asarray(image).transpose(2, 0, 1)
