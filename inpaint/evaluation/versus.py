"""Two models on the same photos: the paired difference of their nats, with its interval.

Photos differ by hundreds of nats and models by a few, so only the paired difference tells two models apart. It is the
nats of the other model minus those of the evaluated model: positive means that the evaluated model is better.
"""

from data_prep.errors import InputError
from inpaint.evaluation import statistics
from inpaint.evaluation.scoring import check_finite, score
from inpaint.evaluation.summary import line, yes


def check_comparable(model, name, other, other_name):
    """Check that the nats of two models can be compared.

    Args:
      model, other: Inpainters.
      name, other_name: their checkpoints' names for messages.

    Raises:
      InputError: another image size or hole, grey images against colour, or a cross-entropy of intensities against a
        likelihood of 8-bit values.
    """
    if (model.image_size, tuple(model.hole)) != (other.image_size, tuple(other.hole)):
        raise InputError(
            f"{other_name}: cannot be compared with {name}: it is for {other.image_size} pixels with the hole "
            f"{list(other.hole)}, not for {model.image_size} with {list(model.hole)}"
        )
    if model.config["channels"] != other.config["channels"]:
        raise InputError(f"{other_name}: cannot be compared with {name}: one is for grey images, the other for colour")
    sides = [(likelihood.proper, likelihood.levels) for likelihood in (model.likelihood, other.likelihood)]
    if sides[0] != sides[1]:

        def gives(proper, levels):
            return f"a likelihood of {levels} levels" if proper else "a cross-entropy of intensities"

        raise InputError(
            f"{other_name}: cannot be compared with {name}: {other.likelihood_name} gives "
            f"{gives(*sides[1])}, {model.likelihood_name} gives {gives(*sides[0])}"
        )


def compare(evaluation, other, photos, other_name, *, batch_size=64, progress=False):
    """Score another model on an evaluation's images, with their captions if it takes captions.

    With several processes all must call it, and all return the same.

    Args:
      evaluation: the `Evaluation` of the evaluated model.
      other: an Inpainter that passed `check_comparable`, on its device.
      photos: the `Photos` split that `evaluation` is of.
      other_name: the other checkpoint's name.
      batch_size, progress: as `scoring.score` takes them.

    Returns:
      The JSON's "versus": `checkpoint`, `decoder`, `likelihood`, `uses_captions` and `nats_per_image` of
      the other model; `gain_nats_per_image`, its nats minus those of the evaluated model, {"mean", "ci95"}; and
      `better_on`, the share of images on which the evaluated model has fewer nats, 0 to 1.

    Raises:
      InputError: the other model's nats of an image are not finite.
    """
    texts = evaluation.captions if other.uses_captions else None
    nats, _ = score(other, photos, evaluation.indices, texts, batch_size, progress, label="versus")
    check_finite(nats, photos, evaluation.indices, other_name)
    gain = nats - evaluation.nats
    return {
        "checkpoint": str(other_name),
        "decoder": other.decoder,
        "likelihood": other.likelihood_name,
        "uses_captions": other.uses_captions,
        "nats_per_image": statistics.mean_and_stderr(nats),
        "gain_nats_per_image": statistics.mean_and_ci95(gain, evaluation.seed),
        "better_on": float((gain > 0).mean()),
    }


def table(summary):
    """Format `summary["versus"]` as lines of text."""
    versus, gain = summary["versus"], summary["versus"]["gain_nats_per_image"]
    interval = "[{:+.2f}, {:+.2f}]".format(*gain["ci95"]) if gain["ci95"] else "unknown from one image"
    model = f"{versus['decoder']}, {versus['likelihood']}, captions {yes(versus['uses_captions'])}"
    return "\n".join(
        [
            line("versus", f"{versus['checkpoint']} ({model})"),
            line("its nats per image", f"{versus['nats_per_image']['mean']:.2f}"),
            line("its nats minus these", f"{gain['mean']:+.2f} nats per image, 95 % interval {interval}, paired"),
            line("", verdict(summary)),
        ]
    )


def verdict(summary):
    """The conclusion from the difference, in a sentence."""
    versus, gain = summary["versus"], summary["versus"]["gain_nats_per_image"]
    here, there = summary["checkpoint"], versus["checkpoint"]
    if gain["ci95"] is None:
        return "one image cannot tell two models apart"
    low, high = gain["ci95"]
    share = f"on {versus['better_on']:.0%} of the images {here} has fewer nats"
    if low <= 0 <= high:
        return f"the interval holds 0: these images do not tell the two apart; {share}"
    better = here if low > 0 else there
    sign = "positive" if low > 0 else "negative"
    return f"{sign}: {better} is the better one; {share}"
