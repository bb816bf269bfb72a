"""An evaluation made up of three images in which every figure has another value, and its report taken apart.

With three images the bootstrap's interval goes from the least figure to the largest, so all is worked out by hand.
"""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import torch
from data_makers import run
from PIL import Image

from inpaint.dataset import Photos
from inpaint.evaluation.figures import Evaluation
from inpaint.evaluation.summary import summarise
from inpaint.grid import Row
from inpaint.report import report

HOLE = (3, 2, 4, 5)  # 20 pixels, 60 sub-pixels; 14 pixels touch the border, 6 are inside


def three_photos(folder):
    """The val split of a file of three photos, 12 x 12, each of one colour: 40, 90, 140."""
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
        "data": "photos.h5",
        "decoder": "gated",
        "likelihood": "gaussian",
        "uses_captions": True,
        "levels": 256,
        "proper": True,
        "truth": {"border": 7.0, "border_caption": 4.0, "caption": 2.0},
        "seed": 3,
        "indices": np.arange(3),
        "captions": ["a dog", "", "a cat"],
        "nats": np.array([120.0, 300.0, 60.0]),
        "nats_none": np.array([123.0, 300.0, 68.0]),
        "nats_swapped": np.array([131.0, np.nan, 81.0]),
        "swapped": np.array([2, -1, 0]),
        "floor": np.array([20.0, 45.0, 10.0]),
        "pixel_nats": np.arange(20.0).reshape(4, 5),
        "ring_nats": np.array([[1.0, 5.0], [2.0, 7.0], [6.0, 18.0]]),
        "psnr": np.array([10.0, 12.0, 20.0]),
        "ssim": np.array([0.1, 0.4, 0.7]),
        "images_per_second": 37.0,
    }
    return Evaluation(**figures | changes)


def twelve_images():
    """(gains, evaluation) of twelve captioned images, each of the three photos four times; they gain 0 to 11 nats."""
    gains = np.array([5.0, 0, 11, 3, 7, 1, 9, 2, 10, 4, 8, 6])
    captions = [f"w{int(gain)} {'big ' if gain > 1 else ''}thing" for gain in gains]
    every = {name: np.arange(12.0) for name in ("floor", "psnr", "ssim")}
    return gains, an_evaluation(
        indices=np.arange(12) % 3,
        captions=captions,
        nats=100 - gains,
        nats_none=np.full(12, 100.0),
        nats_swapped=np.full(12, 100.0),
        swapped=(np.arange(12) + 1) % 12,
        ring_nats=np.ones((12, 2)),
        truth=None,
        **every,
    )


OTHER = {
    "checkpoint": "B.pt",
    "decoder": "contour",
    "likelihood": "categorical",
    "uses_captions": False,
    "nats_per_image": {"mean": 333.0, "stderr": 1.0},
    "gain_nats_per_image": {"mean": 1.25, "ci95": [0.5, 2.75]},
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
