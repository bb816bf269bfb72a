"""Where figures come from: hashes, versions, options and commits of the data, the checkpoint and the evaluation."""

import contextlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version

from data_prep.version import commit
from inpaint.shares import rank_and_world

PACKAGES = ("torch", "numpy", "nltk", "scikit-image", "matplotlib")


def of_data(photos):
    """Describe the scored file and split: a list of (name, text)."""
    attrs = photos.info.attrs
    rows = [
        ("file", str(photos.path)),
        ("split", f"{photos.split}, {len(photos):,} images"),
        ("sha256 of the split's pixels", photos.info.splits[photos.split].sha256),
    ]
    if photos.info.file_sha256 is not None:
        rows.append(("sha256 of the file, as built", photos.info.file_sha256[0]))
    return rows + [(name.replace("_", " "), str(value)) for name, value in sorted(attrs.items())]


def of_checkpoint(summary, checkpoint, photos):
    """Describe the checkpoint and its training: a list of (name, text)."""
    progress, origin = checkpoint["progress"], checkpoint.get("provenance", {})
    rows = [("file", summary["checkpoint"]), ("sha256 of the file", summary["checkpoint_sha256"])]
    for number, one in enumerate(summary.get("checkpoints", [])[1:], 2):
        rows.append((f"checkpoint {number}", f"{one['checkpoint']}, sha256 {one['checkpoint_sha256']}"))
    if {"step", "seconds"} <= progress.keys():
        rows.append(("trained", f"{progress['step']:,} steps in {progress['seconds'] / 60:.1f} minutes"))
    rows += [(name.replace("_", " "), str(value)) for name, value in origin.items()]
    if "data_sha256" in origin:
        same = origin["data_sha256"] == photos.info.splits["train"].sha256
        where = "the train split of the file scored here" if same else "another file than the one scored here"
        rows.append(("trained on", where))
    options = checkpoint["config"] | {f"model: {name}": value for name, value in checkpoint["model"].items()}
    return rows + [("options", json.dumps(options, default=str, ensure_ascii=False))]


def of_evaluation(evaluation):
    """Describe the program that computed the figures: a list of (name, text)."""
    rows = [("Python", platform.python_version())]
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            rows.append((package, version(package)))
    rows.append(("commit", commit() or "unknown: not run from a git checkout"))
    rows.append(("processes", str(rank_and_world()[1])))
    return [*rows, ("seed of samples, captions lent and bootstrap", str(evaluation.seed))]
