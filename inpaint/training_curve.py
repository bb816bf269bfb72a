"""The training curve of a checkpoint, from the TensorBoard log that lies beside it in the run's folder."""

import dataclasses
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TAGS = {"train": "train/nats_per_image", "val": "val/nats_per_image"}


@dataclasses.dataclass
class Curve:
    """Steps and nats per image, float64 (n,) each, of the training batches and of val; either may be empty."""

    train_steps: np.ndarray
    train: np.ndarray
    val_steps: np.ndarray
    val: np.ndarray


def read_curve(checkpoint):
    """The curve of the run that a checkpoint lies in.

    A resumed run's doubled steps are left out, as TensorBoard leaves them out.

    Args:
      checkpoint: the path of its file.

    Returns:
      (Curve, "") or (None, why there is none, in a few words).
    """
    folder = Path(checkpoint).resolve().parent
    if not any(folder.glob("events.out.tfevents.*")):
        return None, "no TensorBoard log lies beside the checkpoint"
    if not all(log.is_file() for log in folder.glob("*tfevents*")):  # a pipe would never end
        return None, "what lies beside the checkpoint as a TensorBoard log is no regular file"
    try:
        log = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1, "tensors": 1, "histograms": 1})
        log.Reload()
        found = {name: log.Scalars(tag) if tag in log.Tags()["scalars"] else [] for name, tag in TAGS.items()}
    except Exception as error:  # whatever a damaged log does to its reader must not cost the report
        return None, f"the TensorBoard log beside the checkpoint cannot be read ({type(error).__name__})"
    if not any(found.values()):
        return None, "the TensorBoard log beside the checkpoint holds no nats per image"
    columns = []
    for events in found.values():
        events = [event for event in events if np.isfinite(event.value)]
        columns += [np.array([event.step for event in events], float), np.array([event.value for event in events])]
    return Curve(*columns), ""
