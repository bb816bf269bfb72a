"""The report's sections on captions: their gain by image, and by word."""

import numpy as np

from inpaint.evaluation.statistics import as_texts, mean_and_ci95
from inpaint.evaluation.word_gain import MIN_IMAGES, comparisons_note, word_gains
from inpaint.report import html_page as page
from inpaint.report import plots as report_plots

CASES = 6  # images with the largest gain, and with the smallest
WORDS = 15


def gain_section(evaluation, photos):
    """Histogram of the caption gain over images, and the captions that helped most and least."""
    heading = "What a caption is worth"
    gains = evaluation.gain_over_none
    if not len(gains):
        return page.section(heading, page.paragraph(_no_gain(evaluation)))
    mean = mean_and_ci95(gains, evaluation.seed)
    helped = f"The caption helped on {(gains > 0).mean():.0%} of {len(gains):,} images; the end bars hold all beyond."
    plot = page.figure(page.svg_uri(report_plots.gain_plot(gains, mean["mean"])), "histogram of caption gains", helped)
    captions = _captions_scored(evaluation)
    order = np.argsort(-gains, kind="stable")
    most, least = order[: min(CASES, (len(order) + 1) // 2)], order[len(order) - min(CASES, len(order) // 2) :][::-1]
    parts = [page.group("plots", plot)]
    for title, chosen in (("Captions that helped most", most), ("Captions that helped least", least)):
        if not len(chosen):
            continue
        images = photos.whole(evaluation.indices[evaluation.captioned][chosen])  # (CASES, 3, H, W)
        cases = [
            page.figure(page.png_uri(image), "photo", f"{gains[i]:+.2f} nats: {captions[i].strip()}")
            for image, i in zip(images, chosen, strict=True)
        ]
        parts += [page.subheading(title), page.group("tiles cases", *cases)]
    about = "Gain: nats without the caption minus nats with it, image by image; positive means that the caption helped."
    return page.section(heading, page.paragraph(about), *parts)


def words_section(evaluation):
    """Words whose captions gain most, with intervals and a note on many intervals side by side."""
    heading = "Which words gain most"
    if not len(evaluation.gain_over_none):
        return page.section(heading, page.paragraph(_no_gain(evaluation)))
    found = word_gains(_captions_scored(evaluation), evaluation.gain_over_none, evaluation.seed)
    if not found:
        return page.section(heading, page.paragraph(f"No word is in {MIN_IMAGES} captions or more."))
    rows = [
        (gain.word, f"{gain.images:,}", *as_texts({"mean": gain.mean, "ci95": gain.ci95}, "{:+.2f}"))
        for gain in found[:WORDS]
    ]
    about = (
        f"The mean gain over no caption, in nats per image, of the images whose caption has the word: "
        f"the first {len(rows)} of {len(found)} words that are in {MIN_IMAGES} captions or more."
    )
    table = page.table(["word", "images", "mean gain", "95 % interval"], rows)
    return page.section(heading, page.paragraph(about), table, page.paragraph(comparisons_note(found), "note"))


def _captions_scored(evaluation):
    """Captions of `gain_over_none`, in its order."""
    return [caption for caption, scored in zip(evaluation.captions, evaluation.captioned, strict=True) if scored]


def _no_gain(evaluation):
    return "None of these images has a caption." if evaluation.uses_captions else "This model takes no captions."
