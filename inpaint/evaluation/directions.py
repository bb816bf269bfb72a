"""What two directions gain over one: the same photos scored in both ways, paired (models/directions.py)."""

import numpy as np

from inpaint import units
from inpaint.evaluation import statistics
from inpaint.evaluation.caption_figures import Scorer


def over_one_direction(evaluation, models, photos, *, batch_size=64, progress=False):
    """Score an evaluation's images again in one direction.

    With several processes all must call it, and all return the same.

    Args:
      evaluation: the `Evaluation` in two directions, of one checkpoint or the mean of several.
      models: (name, Inpainter) of each checkpoint, of one direction.
      photos: the `Photos` split that `evaluation` is of.
      batch_size, progress: as `scoring.score` takes them.

    Returns:
      {"nats_per_image": of one direction, {"mean", "stderr"}; "gain_nats_per_image": those minus the nats in two
      directions, {"mean", "ci95", "of"}; "gain_bits_per_dim": the same, {"mean", "ci95"}, None for a cross-entropy;
      "images_per_second": of one direction}.

    Raises:
      InputError: nats of an image are not finite.
    """
    options = {"batch_size": batch_size, "progress": progress}
    scorers = [Scorer(model, photos, evaluation.indices, name, **options) for name, model in models]
    theirs = np.stack([scorer.own(evaluation.captions)[0] for scorer in scorers])  # (S, n)
    ours = np.stack([one.nats for one in evaluation.trainings])  # (S, n)
    gain = statistics.gain_and_ci95([theirs - ours], evaluation.seed)
    return {
        "nats_per_image": statistics.mean_and_stderr(theirs.mean(axis=0)),
        "gain_nats_per_image": gain,
        "gain_bits_per_dim": in_bits(gain, evaluation) if evaluation.proper else None,
        "images_per_second": float(np.mean([scorer.images_per_second for scorer in scorers])),
    }


def in_bits(gain, evaluation):
    """A gain in nats per image, in bits per unknown sub-pixel."""
    share = evaluation.unknown_pixels.mean() / (evaluation.hole[2] * evaluation.hole[3])

    def bits(nats):
        return float(units.bits_per_dim(nats / share, evaluation.hole, evaluation.channels))

    return {"mean": bits(gain["mean"]), "ci95": gain["ci95"] and [bits(bound) for bound in gain["ci95"]]}
