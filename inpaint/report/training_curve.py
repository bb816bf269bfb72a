"""The training curve of a checkpoint, from the TensorBoard log in the run's folder.

TensorBoard orders a run's event files by name, which begins with the time, so a run resumed after the clock was set
back loses points there. Here files are ordered by their first step.
"""

import dataclasses
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import SessionLog

TAGS = ("train/nats_per_image", "val/nats_per_image")


@dataclasses.dataclass
class Curve:
    """Steps and nats per image, float64 (n,) each, of the training batches and of val; either may be empty."""

    train_steps: np.ndarray
    train: np.ndarray
    val_steps: np.ndarray
    val: np.ndarray


@dataclasses.dataclass
class Session:
    """One event file: its name, its declared first step, its last step, {step: nats} of each tag."""

    name: str
    start: int
    last: int
    points: dict


def read_curve(checkpoint):
    """Read the curve of a checkpoint's run. Points that a resumed session overwrote are dropped.

    Args:
      checkpoint: its path.

    Returns:
      (Curve, "") or (None, reason).
    """
    name = str(checkpoint)  # of the package's weights or a hub's, perhaps
    if name.startswith("hf://") or (Path(name).name == name and not Path(name).exists()):
        return None, "these weights are no file beside a training's log"
    folder = Path(checkpoint).resolve().parent
    files = [path for path in folder.glob("events.out.tfevents.*") if path.is_file()]
    if not files:
        return None, "no TensorBoard log lies beside the checkpoint"
    if not all(log.is_file() for log in folder.glob("*tfevents*")):  # a pipe would never end
        return None, "what lies beside the checkpoint as a TensorBoard log is no regular file"
    try:
        points = _joined([_read(path) for path in files])
    except Exception as error:  # whatever a damaged log does to its reader must not cost the report
        return None, f"the TensorBoard log beside the checkpoint cannot be read ({type(error).__name__})"
    if not any(points.values()):
        return None, "the TensorBoard log beside the checkpoint holds no nats per image"
    columns = []
    for tag in TAGS:
        steps = sorted(points[tag])
        columns += [np.array(steps, float), np.array([points[tag][step] for step in steps], float)]
    return Curve(*columns), ""


def _read(path):
    """Read an event file, up to where it was cut short; nats that are not finite are left out."""
    session = Session(path.name, 0, 0, {tag: {} for tag in TAGS})
    for event in LegacyEventFileLoader(str(path)).Load():
        session.last = max(session.last, event.step)
        if event.session_log.status == SessionLog.START:
            session.start = event.step
        for value in event.summary.value:
            if value.tag in TAGS and np.isfinite(value.simple_value):
                session.points[value.tag][event.step] = value.simple_value
    return session


def _joined(sessions):
    """{step: nats} of each tag, over the sessions of one run.

    Sessions are ordered by name, unless their first steps contradict that (a session never starts before the one it
    resumes); then by first step. If even that is ambiguous (the run may have gone back to an earlier checkpoint), a
    point is dropped only if a later session has one at the same step.
    """
    order, sure = sorted(sessions, key=lambda session: session.name), True
    starts = [session.start for session in order]
    if starts != sorted(starts):
        order.sort(key=lambda session: (session.start, session.last, session.name))
        sure = starts[0] > min(starts)  # the first session cannot be a resumed one: the clock was set back
    points = {tag: {} for tag in TAGS}
    for session in order:
        for tag, earlier in points.items():
            kept = {step: nats for step, nats in earlier.items() if step < session.start or not sure}
            points[tag] = kept | session.points[tag]
    return points
