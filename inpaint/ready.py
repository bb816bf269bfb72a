"""A checkpoint's model, ready to fill and score, and what every record says of it."""

from pathlib import Path
from typing import Any, NamedTuple

from inpaint import checkpoints
from inpaint.processes import pick_device
from inpaint.weights_file import SHIPPED
from models import Inpainter
from models.likelihoods import LEVELS


class Ready(NamedTuple):
    """A model on its device, in eval mode with the averaged weights.

    Attributes:
      name: the checkpoint's, for messages and records.
      facts: what a record says of the model.
    """

    model: Inpainter
    name: str
    facts: dict[str, Any]


def ready(checkpoint: str | Path | None, device: str = "auto") -> Ready:
    """Read a checkpoint; None for the weights that come with the package. Raises: InputError, as `checkpoints.read`."""
    path = SHIPPED if checkpoint is None else checkpoint
    name = SHIPPED.name if path == SHIPPED else str(path)
    read = checkpoints.read(path)
    model = checkpoints.rebuild(read, path).to(pick_device(device)).eval()
    facts = {
        "checkpoint": name,
        "checkpoint_sha256": read.sha256,
        "decoder": model.decoder,
        "likelihood": model.likelihood_name,
        "image_size": model.image_size,
        "hole": list(model.hole),
        "levels": model.likelihood.levels,
        "binarize": checkpoints.binarize_of(read),
        "sample_is_mean": not model.likelihood.proper,
    }
    return Ready(model, name, facts)


def log_likelihood_is(facts: dict[str, Any]) -> str:
    """What a record's log-likelihoods are, in words."""
    if facts["sample_is_mean"]:
        return "minus the Bernoulli cross-entropy"
    values = "8-bit values" if facts["levels"] == LEVELS else f"values of {facts['levels']} levels"
    return f"of {values}, in nats"
