"""Two models on the same photos: the paired difference of their nats, with its interval.

Photos differ by hundreds of nats and models by a few, so only the paired difference tells two models apart. It is the
nats of the other model minus those of the evaluated model: positive means that the evaluated model is better. Each may
be several checkpoints that differ in their seed alone.
"""

import numpy as np

from data_prep.errors import InputError
from inpaint.evaluation import statistics
from inpaint.evaluation.caption_figures import Scorer
from inpaint.evaluation.sides import budget_text
from inpaint.evaluation.summary import count_text, gain_by_count, line, yes


def check_comparable(model, name, other, other_name):
    """Check that the nats of two models can be compared.

    Args:
      model, other: Inpainters.
      name, other_name: their checkpoints' names for messages.

    Raises:
      InputError: another image size or hole, grey images against color, or a cross-entropy of intensities against a
        likelihood of 8-bit values.
    """
    if (model.image_size, tuple(model.hole)) != (other.image_size, tuple(other.hole)):
        raise InputError(
            f"{other_name}: cannot be compared with {name}: it is for {other.image_size} pixels with the hole "
            f"{list(other.hole)}, not for {model.image_size} with {list(model.hole)}"
        )
    if model.config["channels"] != other.config["channels"]:
        raise InputError(f"{other_name}: cannot be compared with {name}: one is for grey images, the other for color")
    sides = [(likelihood.proper, likelihood.levels) for likelihood in (model.likelihood, other.likelihood)]
    if sides[0] != sides[1]:

        def gives(proper, levels):
            return f"a likelihood of {levels} levels" if proper else "a cross-entropy of intensities"

        raise InputError(
            f"{other_name}: cannot be compared with {name}: {other.likelihood_name} gives "
            f"{gives(*sides[1])}, {model.likelihood_name} gives {gives(*sides[0])}"
        )


def compare(evaluation, others, photos, *, batch_size=64, progress=False):
    """Score other models on an evaluation's images, with the same captions if they take captions.

    With several processes all must call it, and all return the same.

    Args:
      evaluation: the `Evaluation` of the evaluated checkpoint, or the mean of several.
      others: (name, Inpainter) of each checkpoint of the other side, which passed `check_comparable`.
      photos: the `Photos` split that `evaluation` is of.
      batch_size, progress: as `scoring.score` takes them.

    Returns:
      (the JSON's "versus", over_captionless). The first has `checkpoint` (the first of them), `decoder`, `likelihood`,
      `uses_captions`, `nats_per_image` (the mean over them), and `checkpoints`, each with its own;
      `gain_nats_per_image`, their nats minus those of the evaluated side, {"mean", "ci95", "of"}; and `better_on`, the
      share of images on which the evaluated side has fewer nats, 0 to 1; if the second is not None, also
      `gain_by_count`, the same with 1, 2, 3 and 5 captions at once. The second is that gain on the captioned
      images alone; None unless the evaluated side takes captions and the other does not.

    Raises:
      InputError: another model's nats of an image are not finite.
    """
    options = {"batch_size": batch_size, "progress": progress}
    scorers = [Scorer(other, photos, evaluation.indices, name, **options) for name, other in others]
    theirs = np.stack([scorer.own(evaluation.captions)[0] for scorer in scorers])  # (T, n)
    ours = np.stack([one.nats for one in evaluation.trainings])  # (S, n)
    other = others[0][1]
    captioned = evaluation.captioned
    versus = {
        "checkpoint": str(others[0][0]),
        "checkpoints": [
            {"checkpoint": str(name), "nats_per_image": float(nats.mean())}
            for (name, _), nats in zip(others, theirs, strict=True)
        ],
        "decoder": other.decoder,
        "likelihood": other.likelihood_name,
        "uses_captions": other.uses_captions,
        "nats_per_image": statistics.mean_and_stderr(theirs.mean(axis=0)),
        "gain_nats_per_image": statistics.gain_and_ci95([theirs, -ours], evaluation.seed),
        "better_on": float((theirs.mean(axis=0) > evaluation.nats).mean()),
    }
    fair = evaluation.uses_captions and not other.uses_captions
    if fair:
        versus["gain_by_count"] = gain_by_count(evaluation, theirs)
    sides = [theirs[:, captioned], -ours[:, captioned]]
    return versus, statistics.gain_and_ci95(sides, evaluation.seed) if fair else None


def table(summary):
    """Format `summary["versus"]` as lines of text."""
    versus = summary["versus"]
    model = f"{versus['decoder']}, {versus['likelihood']}, captions {yes(versus['uses_captions'])}"
    several = versus.get("checkpoints", [])
    lines = [line("versus", f"{names(versus)} ({model})")]
    if len(several) > 1:
        lines += [line("", f"{one['checkpoint']}: {one['nats_per_image']:.2f} nats") for one in several]
    lines += [
        line("its nats per image", f"{versus['nats_per_image']['mean']:.2f}"),
        line("its nats minus these", f"{statistics.in_words(versus['gain_nats_per_image'])}, paired"),
        line("", verdict(summary)),
    ]
    if (versus.get("gain_by_count") or {}).get("2"):
        lines.append(line("so many at once", count_text(versus["gain_by_count"])))
    return "\n".join(lines + [line(label, text) for label, text in budget_lines(summary)])


def names(side):
    """The checkpoint that a side of a summary is of, and how many more."""
    more = len(side.get("checkpoints", [])) - 1
    return side["checkpoint"] + (f" and {more} more" if more > 0 else "")


def budget_lines(summary):
    """What both sides were trained with, and whether that is a fair comparison: a list of (label, text)."""
    versus = summary["versus"]
    if "budget" not in versus:
        return []
    here, there = budget_text(summary["budget"]), budget_text(versus["budget"])
    lines = [("trained for", f"{here}; the other {there}")]
    if not versus["equal_budget"]:
        found = "an unknown" if versus["equal_budget"] is None else "not an equal"
        lines.append(("warning", f"{found} budget: part of the difference may be the training's length"))
    if versus["chosen_on_this_split"] != summary["chosen_on_this_split"]:
        chosen = "the other" if versus["chosen_on_this_split"] else "this one"
        lines.append(("warning", f"of the two sides only {chosen} was chosen on {summary['split']}"))
    if versus["other_options"]:
        differ = ", ".join(versus["other_options"])
        lines.append(("note", f"beside captions, length and seed they differ in {differ}"))
    return lines


def verdict(summary):
    """The conclusion from the difference, in a sentence."""
    versus, gain = summary["versus"], summary["versus"]["gain_nats_per_image"]
    here, there = names(summary), names(versus)
    if gain["ci95"] is None:
        return f"under {statistics.LEAST_IMAGES} images cannot tell two models apart"
    low, high = gain["ci95"]
    share = f"on {versus['better_on']:.0%} of the images {here} has fewer nats"
    if low <= 0 <= high:
        these = "these trainings" if gain["of"].startswith("training") else "these images"
        return f"the interval holds 0: {these} do not tell the two apart; {share}"
    better = here if low > 0 else there
    sign = "positive" if low > 0 else "negative"
    return f"{sign}: {better} is the better one; {share}"
