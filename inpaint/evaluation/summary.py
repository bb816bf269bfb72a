"""Summary of an evaluation: the JSON, and a table of text."""

import numpy as np

from data_prep.printing import printable
from inpaint import units
from inpaint.evaluation import statistics
from inpaint.evaluation.caption_figures import AT_ONCE
from inpaint.evaluation.figures import GAINS

LABELS = {
    "over_none": "gain over no caption",
    "over_captionless": "gain over captionless",
    "over_swapped": "gain over a swapped one",
    "over_unlike": "gain over an unlike one",
    "over_mixture": "gain over a mixture",
}


def summarise(evaluation):
    """The evaluation's JSON as a dict, less what is known of its checkpoints; None for figures that are not defined.

    docs/evaluation.md says what each key is. Figures of several trainings are means over them.
    """
    nats = statistics.mean_and_stderr(evaluation.nats)
    unknown = float(evaluation.unknown_pixels.mean())
    share = unknown / (evaluation.hole[2] * evaluation.hole[3])  # of the hole's pixels
    per_pixel = units.nats_per_pixel(nats["mean"] / share, evaluation.hole)
    per_dim = units.bits_per_dim(nats["mean"] / share, evaluation.hole, evaluation.channels)
    floor = float(evaluation.floor.mean())
    cross_entropy = {
        "nats_per_image": nats["mean"],
        "nats_per_pixel": per_pixel,
        "floor_nats_per_image": floor,
        "excess_nats_per_image": nats["mean"] - floor,
    }
    gain = {f"over_{what}": gain_over(evaluation, what) for what in GAINS}
    return {
        "schema": 1,
        "data": evaluation.data,
        "split": evaluation.split,
        "images": len(evaluation.indices),
        "split_images": evaluation.split_images,
        "decoder": evaluation.decoder,
        "likelihood": evaluation.likelihood,
        "uses_captions": evaluation.uses_captions,
        "levels": evaluation.levels,
        "nats_per_image": nats,
        "nats_per_pixel": per_pixel,
        "bits_per_dim": per_dim if evaluation.proper else None,
        "masks": evaluation.masks,
        "unknown_pixels": {"mean": unknown, "share": share},
        "bits_per_unknown_subpixel": per_dim if evaluation.proper else None,
        "bernoulli_cross_entropy": None if evaluation.proper else cross_entropy,
        "caption_gain_nats_per_image": gain if evaluation.uses_captions else None,
        "caption_gain_by_count": gain_by_count(evaluation) if evaluation.uses_captions else None,
        "psnr_db": float(evaluation.psnr.mean()),
        "ssim": float(evaluation.ssim.mean()),
        "images_per_second": float(evaluation.images_per_second),
        "captions": evaluation.options.scored,
        "captioned_images": int(evaluation.captioned.sum()),
        "captions_scored": sum(map(len, evaluation.caption_nats)),
        "captions_of_mixture": evaluation.options.mixture,
        "seed": evaluation.seed,
        "truth": evaluation.truth,
        "nats_above_truth": _above_truth(evaluation),
        "nats_per_pixel_by_ring": evaluation.rings.mean(axis=0).tolist(),
    }


def gain_over(evaluation, what):
    """A caption gain, see `statistics.gain_and_ci95`, `what` of figures.GAINS; None for no image to take it of."""
    gains = np.stack([one.gain_over(what) for one in evaluation.trainings])
    return statistics.gain_and_ci95([gains], evaluation.seed)


def gain_by_count(evaluation, others=None):
    """What 1, 2, 3 and 5 of an image's captions save at once, over the images that have as many.

    Args:
      others: float64 (S, n), nats without captions to take the gain over; None for the same model's.

    Returns: {"1": see `statistics.gain_and_ci95`, ...}; None for a count that no image has.
    """
    found = {}
    for column, count in enumerate(AT_ONCE):
        has = evaluation.has_at_once(column)
        own = np.stack([one.nats_at_once[has, column] for one in evaluation.trainings])
        if others is None:
            sides = [np.stack([one.nats_none[has] for one in evaluation.trainings]) - own]
        else:
            sides = [others[:, has], -own]
        found[str(count)] = statistics.gain_and_ci95(sides, evaluation.seed)
    return found


def table(summary):
    """Format the summary, with what is known of its checkpoints, as lines of text, one figure each."""
    nats = summary["nats_per_image"]
    kind = summary["likelihood"] + (f" of {summary['levels']} levels" if summary["levels"] < 256 else "")
    lines = [
        line("model", f"{summary['decoder']}, {kind}, captions {yes(summary['uses_captions'])}"),
        line("data", f"{summary['data']}, {summary['split']}: {images_text(summary)}"),
        *_mask_lines(summary),
        *_checkpoint_lines(summary),
        line("nats per image", f"{nats['mean']:.2f}" + (f" ± {nats['stderr']:.2f}" if nats["stderr"] else "")),
        line("nats per pixel", f"{summary['nats_per_pixel']:.4f}"),
    ]
    if summary["bits_per_dim"] is not None:
        lines.append(line("bits per dim", f"{summary['bits_per_dim']:.4f}"))
    cross_entropy = summary["bernoulli_cross_entropy"]
    if cross_entropy:
        floor, excess = cross_entropy["floor_nats_per_image"], cross_entropy["excess_nats_per_image"]
        lines.append(line("", "a cross-entropy of intensities, not a likelihood of 8-bit values: no bits per dim"))
        lines.append(line("its floor", f"{floor:.2f} nats, the entropy of the targets; excess {excess:.2f}"))
    lines += _direction_lines(summary) + _gain_lines(summary) + _truth_lines(summary)
    for label, key, unit in (("PSNR of the mean", "psnr_db", " dB"), ("SSIM of the mean", "ssim", "")):
        if summary[key] is not None and summary[key] == summary[key]:
            lines.append(line(label, f"{summary[key]:.3f}{unit}"))
    return "\n".join([*lines, line("speed of log_prob", f"{summary['images_per_second']:.0f} images/s")])


def _above_truth(evaluation):
    """Nats per image above the true entropy; None if it is unknown or the figure is not a likelihood."""
    if evaluation.truth is None or not evaluation.proper:
        return None
    captioned = evaluation.nats[evaluation.captioned]
    return {
        "with_caption": float(captioned.mean() - evaluation.truth["border_caption"]) if len(captioned) else None,
        "without_caption": float(evaluation.nats_none.mean() - evaluation.truth["border"]),
    }


def images_text(summary):
    """The number of images scored, and of the split's."""
    images, whole = summary["images"], summary["split_images"]
    return f"{images:,} images" if images == whole else f"the first {images:,} of {whole:,} images"


def chosen_text(summary):
    """The warning that the figures are not of held-out photos."""
    return f"the checkpoint was chosen on {summary['split']}: its figures here are not those of held-out photos"


def masks_text(summary):
    """The kind of mask, and how much of the hole it leaves unknown."""
    unknown = summary["unknown_pixels"]
    return f"{summary['masks']}: {unknown['mean']:,.1f} pixels unknown on average, {unknown['share']:.0%} of the hole"


def _mask_lines(summary):
    """What is unknown, unless it is the whole hole."""
    return [line("masks", masks_text(summary))] if summary["masks"] != "box" else []


def _direction_lines(summary):
    """What two directions gain, if the figures are of two."""
    over = summary.get("over_one_direction")
    return [line("one direction's", f"minus these: {statistics.in_words(over['gain_nats_per_image'])}")] if over else []


def _checkpoint_lines(summary):
    """Of each of several checkpoints its figures; and a warning where the split chose it."""
    several = summary.get("checkpoints", [])
    lines = []
    for one in several if len(several) > 1 else []:
        text = f"{one['checkpoint']}, seed {one['seed']}: {one['nats_per_image']:.2f} nats"
        if one["over_none"] is not None:
            text += f", gain over no caption {one['over_none']:+.2f}"
        lines.append(line("", text))
    if len(several) > 1:
        lines.append(line("", f"below, means over the {len(several)} checkpoints"))
    return lines + ([line("warning", chosen_text(summary))] if summary.get("chosen_on_this_split") else [])


def _gain_lines(summary):
    gains = summary["caption_gain_nats_per_image"] or {}
    known = [line(label, statistics.in_words(gains[key])) for key, label in LABELS.items() if gains.get(key)]
    if gains and not known:
        return [line("gain of a caption", "none of these images has one")]
    by_count = summary["caption_gain_by_count"] or {}
    return known + ([line("so many at once", count_text(by_count))] if by_count.get("2") else [])


def count_text(gains):
    """Gains of captions at once in a line."""
    texts = {count: statistics.as_texts(gain, "{:+.2f}") for count, gain in gains.items() if gain}
    return "; ".join(f"{count}: {mean}, {between}" for count, (mean, between) in texts.items())


def _truth_lines(summary):
    truth, above = summary["truth"], summary["nats_above_truth"]
    if truth is None:
        return []
    known = f"the truth: {truth['border']:.3f} nats without a caption, {truth['border_caption']:.3f} with it"
    if above is None:
        return [line("known", known), line("", "a cross-entropy cannot be compared with it")]
    lines = [line("known", known), line("above it, no caption", f"{above['without_caption']:.2f} nats")]
    if above["with_caption"] is not None:
        lines.append(line("above it, captioned", f"{above['with_caption']:.2f} nats"))
    return lines


def line(label, text):
    """A line of a table: the label, padded to its column, and the text."""
    return f"{label:<24}{printable(text)}"


def yes(flag):
    """ "used" or "not used"."""
    return "used" if flag else "not used"
