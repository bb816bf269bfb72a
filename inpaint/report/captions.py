"""The report's sections on captions: their gain by image, and by word."""

import numpy as np

from inpaint.evaluation.statistics import as_texts
from inpaint.evaluation.word_gain import MIN_IMAGES, comparisons_note, word_gains
from inpaint.report import html_page as page
from inpaint.report import plots as report_plots
from inpaint.units import counted

CASES = 6  # images with the largest gain, and with the smallest
WORDS = 15


def gain_section(evaluation, photos):
    """Histogram of the caption gain over images, and the captions that helped most and least."""
    heading = "What a caption is worth"
    gains = evaluation.gain_over("none")
    if not len(gains):
        return page.section(heading, page.paragraph(_no_gain(evaluation)))
    average = "Captions helped on average" if max(map(len, evaluation.captions)) > 1 else "The caption helped"
    helped = f"{average} on {(gains > 0).mean():.0%} of {counted(len(gains), 'image')}; the end bars hold all beyond."
    plot = page.figure(page.svg_uri(report_plots.gain_plot(gains, gains.mean())), "histogram of caption gains", helped)
    images = np.flatnonzero(evaluation.captioned)

    def text(image, number):
        return evaluation.captions[image][number].strip()

    by_caption = _gains_by_caption(evaluation)
    best, worst = ([pick(by_caption[i]) for i in images] for pick in (np.argmax, np.argmin))  # one caption an image
    cases = min(CASES, (len(images) + 1) // 2), min(CASES, len(images) // 2)
    parts = [page.group("plots", plot)]
    for title, chosen, sign, shown in (
        ("Captions that helped most", best, -1, cases[0]),
        ("Captions that helped least", worst, 1, cases[1]),
    ):
        if not shown:
            continue
        values = np.array([by_caption[i][k] for i, k in zip(images, chosen, strict=True)])
        order = np.argsort(sign * values, kind="stable")[:shown]
        tiles = [
            page.figure(page.png_uri(image), "photo", f"{values[j]:+.2f} nats: {text(images[j], chosen[j])}")
            for image, j in zip(photos.whole(evaluation.indices[images[order]]), order, strict=True)
        ]
        parts += [page.subheading(title), page.group("tiles cases", *tiles)]
    about = "Gain: nats without the caption minus nats with it, image by image; positive means that the caption helped."
    return page.section(heading, page.paragraph(about), *parts)


def words_section(evaluation):
    """Words whose captions gain most, with intervals and a note on many intervals side by side."""
    heading = "Which words gain most"
    if not evaluation.captioned.any():
        return page.section(heading, page.paragraph(_no_gain(evaluation)))
    images = np.flatnonzero(evaluation.captioned)
    gains = _gains_by_caption(evaluation)
    found = word_gains([evaluation.captions[i] for i in images], [gains[i] for i in images], evaluation.seed)
    if not found:
        return page.section(heading, page.paragraph(f"No word is in the captions of {MIN_IMAGES} images or more."))
    rows = [
        (gain.word, f"{gain.images:,}", *as_texts({"mean": gain.mean, "ci95": gain.ci95}, "{:+.2f}"))
        for gain in found[:WORDS]
    ]
    about = (
        f"The mean gain over no caption, in nats per image, of the captions that have the word, each image once: the "
        f"first {len(rows)} of {len(found)} words that are in the captions of {MIN_IMAGES} images or more."
    )
    table = page.table(["word", "images", "mean gain", "95 % interval"], rows)
    return page.section(heading, page.paragraph(about), table, page.paragraph(comparisons_note(found), "note"))


def _gains_by_caption(evaluation):
    """For each image float64 (number of its captions,): nats that each saves against none."""
    return [none - nats for none, nats in zip(evaluation.nats_none, evaluation.caption_nats, strict=True)]


def _no_gain(evaluation):
    return "None of these images has a caption." if evaluation.uses_captions else "This model takes no captions."
