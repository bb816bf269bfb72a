"""The report: one HTML page of an `Evaluation`: intervals, plots by image, ring, pixel and word, and provenance."""

from pathlib import Path

import numpy as np

from data_prep.files import replacing
from data_prep.recognise import PAGE, REPORT
from inpaint import provenance, units
from inpaint.evaluation import versus
from inpaint.evaluation.rings import floor_by_ring
from inpaint.evaluation.statistics import (
    LEAST_IMAGES,
    LEAST_SEEDS,
    as_texts,
    gain_and_ci95,
    in_words,
    mean_and_ci95,
    subject,
)
from inpaint.evaluation.summary import chosen_text, masks_text
from inpaint.grid import headings, row_images
from inpaint.report import html_page as page
from inpaint.report import plots as report_plots
from inpaint.report.captions import gain_section, words_section
from inpaint.report.training_curve import read_curve
from inpaint.units import counted

RESAMPLES = 2000
GAINS = {  # name and note of each caption gain
    "over_none": (
        "caption gain over none, nats",
        "Over none: off, either way, by what the model lacks without captions less what it lacks with them.",
    ),
    "over_captionless": ("gain over a model without captions, nats", ""),
    "over_swapped": ("caption gain over another image's, nats", "Another image's: lent at random, each caption once."),
    "over_unlike": (
        "caption gain over an unlike one, nats",
        "Unlike: the first caption of another image, chosen among eight to share the fewest words.",
    ),
    "over_mixture": (
        "caption gain over a mixture, nats",
        "Mixture: the mean probability with {mixed} random captions of other images.",
    ),
}


def write(folder, evaluation, summary, photos, checkpoint, rows, overwrite=False):
    """Write FOLDER/report.html, whole or not at all.

    Args:
      folder: made if missing.
      evaluation: an `Evaluation`.
      summary: its JSON, with `checkpoint` (the file's path), `checkpoint_sha256` and, after a comparison, `versus`.
      photos: the `Photos` split that was scored.
      checkpoint: from `checkpoints.read`.
      rows: `grid.Row`s of some of its images, at least one.
      overwrite: whether a report.html that this program did not write may be replaced.

    Returns:
      The page's path.

    Raises:
      InputError: it cannot be written.
    """
    path = Path(folder) / PAGE
    document = page.page(
        f"{summary['decoder']}, {summary['likelihood']}: {counted(summary['images'], 'image')} of {summary['split']}",
        page.paragraph(f"How probable {summary['checkpoint']} held the true centers of these photos."),
        _figures(evaluation, summary),
        _curve(summary["checkpoint"], checkpoint["progress"].get("step")),
        _samples(rows, photos.hole, not evaluation.proper),
        _where(evaluation, photos),
        gain_section(evaluation, photos),
        words_section(evaluation),
        _provenance(evaluation, summary, checkpoint, photos),
    )
    with replacing(path, REPORT, overwrite) as temporary:
        temporary.write_text(document, encoding="utf-8")
    return path


def _figures(evaluation, summary):
    rows = _rows(evaluation, summary)
    comparison = summary.get("versus")
    if comparison:
        rows.append(("nats of the other model minus these", *as_texts(comparison["gain_nats_per_image"], "{:+.2f}")))
    notes = [page.paragraph(note, "note") for note in _notes(evaluation, summary)]
    several = summary.get("checkpoints", [])
    if len(several) > 1:
        head = ["checkpoint", "seed", "nats per image", "caption gain over none"]
        cells = [
            (
                one["checkpoint"],
                str(one["seed"]),
                f"{one['nats_per_image']:.2f}",
                "–" if one["over_none"] is None else f"{one['over_none']:+.2f}",
            )
            for one in several
        ]
        notes += [page.subheading("Each checkpoint"), page.table(head, cells)]
    return page.section("Figures", page.table(["", "mean", "95 % interval"], rows), *notes)


def _rows(evaluation, summary):
    """Rows (name, mean, interval) of the table of figures."""

    def row(name, form, figures):
        stacked = np.stack([figures(one) for one in evaluation.trainings])
        return name, *as_texts(gain_and_ci95([stacked], evaluation.seed), form)

    hole = evaluation.hole
    rows = [
        row("nats per image", "{:.2f}", lambda one: one.nats),
        row("nats per pixel", "{:.4f}", lambda one: units.nats_per_pixel(one.whole_nats, hole)),
    ]
    if evaluation.proper:
        channels = evaluation.channels
        rows.append(row("bits per dim", "{:.4f}", lambda one: units.bits_per_dim(one.whole_nats, hole, channels)))
    else:
        rows.append(row("floor of the cross-entropy, nats", "{:.2f}", lambda one: one.floor))
        rows.append(row("excess over it, nats", "{:.2f}", lambda one: one.nats - one.floor))
    gains, by_count = summary["caption_gain_nats_per_image"] or {}, summary["caption_gain_by_count"] or {}
    found = [(GAINS[key][0], gains.get(key)) for key in GAINS]
    several = {count: gain for count, gain in by_count.items() if count != "1"}
    found += [(f"gain of {count} captions at once over none, nats", gain) for count, gain in several.items()]
    rows += [(name, *as_texts(gain, "{:+.2f}")) for name, gain in found if gain]
    truth = evaluation.truth
    if truth and evaluation.proper:
        above = ("nats above the truth, without captions", "{:.2f}", lambda one: one.nats_none - truth["border"])
        rows.append(row(*above))
        above = (
            "nats above the truth, with captions",
            "{:.2f}",
            lambda one: one.nats[one.captioned] - truth["border_caption"],
        )
        rows.append(row(*above))
    if np.isfinite(evaluation.psnr).all():
        rows.append(row("PSNR of the mean, dB", "{:.2f}", lambda one: one.psnr))
    if np.isfinite(evaluation.ssim).all():
        rows.append(row("SSIM of the mean", "{:.3f}", lambda one: one.ssim))
    return rows


def _notes(evaluation, summary):
    """Sentences under the table of figures."""
    notes = []
    if evaluation.masks != "box":
        notes.append(f"Masks: {masks_text(summary)}. All figures are of these pixels alone.")
    if summary.get("chosen_on_this_split"):
        notes.append(f"Warning: {chosen_text(summary)}.")
    if not evaluation.proper:
        notes.append(
            "The nats are the Bernoulli cross-entropy of intensities, not a likelihood of 8-bit values: no bits per "
            "dim. Its floor is the entropy of the targets, and no model can be below it."
        )
    gains = summary["caption_gain_nats_per_image"] or {}
    mixed = summary["captions_of_mixture"]
    notes += [note.format(mixed=mixed) for key, (_, note) in GAINS.items() if gains.get(key) and note]
    comparison = summary.get("versus")
    if comparison:
        other = versus.names(comparison)
        notes.append(f"The other model, {other}, scored on the same images: {versus.verdict(summary)}.")
        notes += [f"{label.capitalize()}: {text}." for label, text in versus.budget_lines(summary)]
    notes.append("Means over images; lower nats are better, and a positive gain means that the caption helped.")
    of = subject([len(evaluation.trainings)])
    if len(evaluation.trainings) >= LEAST_SEEDS:
        notes.append(
            f"Intervals are of {of}: they hold for other photos like these and for a training with another seed."
        )
    else:
        notes.append(
            f"Intervals are over images, and of {of}: they hold for other photos like these, not for a second training "
            f"of the model. There are none under {LEAST_IMAGES} images."
        )
    if over := summary.get("over_one_direction"):
        gain = in_words(over["gain_nats_per_image"])
        notes.append(f"In two directions (--directions 2). One direction's nats minus these: {gain}.")
    return notes


def _curve(checkpoint, step):
    curve, missing = read_curve(checkpoint)
    if curve is None:
        return page.section("Training curve", page.paragraph(f"None here: {missing}."))
    plot = page.svg_uri(report_plots.curve_plot(curve, step))
    last = f", the last {curve.val[-1]:.2f} at step {curve.val_steps[-1]:,.0f}" if len(curve.val) else ""
    caption = f"From the TensorBoard log beside the checkpoint: {counted(len(curve.val), 'evaluation')} on val{last}."
    return page.section("Training curve", page.group("plots", page.figure(plot, "nats per image over steps", caption)))


def _samples(rows, hole, sample_is_mean):
    shown = []
    for row in rows:
        titled = zip(headings(row, sample_is_mean), row_images(row, hole), strict=True)
        if sample_is_mean and row.mean is not None:
            titled = [(title, image) for title, image in titled if not title.startswith("sample")]
        tiles = [page.figure(page.png_uri(image), title, title) for title, image in titled]
        caption = page.paragraph(row.caption.strip() or "(no caption)", "row")
        shown.append(page.group("item", caption, page.group("tiles", *tiles)))
    about = "The border as the model sees it, its hole hatched; what it paints there; the photo itself."
    if rows[0].known is not None:
        about = "The photo as the model sees it, unknown pixels hatched; what it paints there; the photo itself."
    if sample_is_mean:
        about += " What this likelihood samples is its mean."
    return page.section("Samples", page.paragraph(about), *shown)


def _where(evaluation, photos):
    """Section on nats by ring and by pixel."""
    rings, masked = evaluation.rings, evaluation.masks != "box"
    per_pixel = page.figure(
        page.svg_uri(report_plots.map_plot(evaluation.pixel_nats)),
        "map of the hole, nats per pixel",
        f"Each pixel of the hole, mean over {counted(len(evaluation.indices), 'image')}"
        + (" as far as it is unknown in them." if masked else "."),
    )
    if not rings.shape[1]:
        note = page.paragraph("The hole is the whole image: there is no border to be near to, and so no rings.")
        return page.section("Where the nats are", note, page.group("plots", per_pixel))
    figures = [mean_and_ci95(ring, evaluation.seed, RESAMPLES) for ring in rings.T]
    intervals = [figure["ci95"] for figure in figures]
    floor = None if evaluation.proper else floor_by_ring(photos, evaluation.indices)
    means = [figure["mean"] for figure in figures]
    by_ring = page.figure(
        page.svg_uri(report_plots.ring_plot(means, None if None in intervals else intervals, floor)),
        "nats per pixel over the distance to the border",
        f"{means[0]:.3f} nats per pixel beside the border, {means[-1]:.3f} at distance {len(means)}."
        + ("" if floor is None else " The floor is the entropy of the targets."),
    )
    about = "A ring is the pixels at one distance from the nearest known pixel, diagonal steps counted as one."
    if masked:
        about = "A ring is the pixels at one distance from the hole's edge; its unknown ones alone count."
    return page.section("Where the nats are", page.paragraph(about), page.group("plots", by_ring, per_pixel))


def _provenance(evaluation, summary, checkpoint, photos):
    parts = []
    for title, rows in (
        ("Data", provenance.of_data(photos)),
        ("Checkpoint", provenance.of_checkpoint(summary, checkpoint, photos)),
        ("Evaluation", provenance.of_evaluation(evaluation)),
    ):
        parts += [page.subheading(title), page.table([], rows, "provenance")]
    return page.section("Provenance", *parts)
