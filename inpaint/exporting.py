"""Export: a run's averaged weights as one safetensors file, for others to load."""

import json
import math
from pathlib import Path

import safetensors.torch
import torch

from data_prep.errors import InputError
from data_prep.files import replacing
from data_prep.outputs import check_outputs
from data_prep.recognise import WEIGHTS
from inpaint import checkpoints

PARTS = ("schema", "model", "config", "progress", "provenance")
PATHS = ("data", "out", "init_from")  # options that only mean something where the run was


def export(checkpoint: str | Path, out: str | Path, half: bool = False, overwrite: bool = False) -> int:
    """Write a checkpoint's averaged weights as a safetensors file, atomically.

    Args:
      half: store float16, which halves the file.
      overwrite: replace a file that this function did not write.

    Returns: the file's size in bytes.
    Raises: InputError if the checkpoint cannot be used, does not fit in float16, or the file cannot be written.
    """
    check_outputs([(out, WEIGHTS)], [checkpoint], overwrite=overwrite)
    found = checkpoints.read(checkpoint)
    checkpoints.rebuild(found, checkpoint)  # weights that fit no model are not exported
    weights = {name: value.to(torch.float16 if half else torch.float32) for name, value in found["averaged"].items()}
    for name, value in weights.items():
        if not value.isfinite().all():
            raise InputError(f"{checkpoint}: {name} does not fit in float16; export without --half")
    about = {part: found[part] for part in PARTS if part in found}
    about["config"] = {name: None if name in PATHS else value for name, value in about["config"].items()}
    if found["weights"]:  # of a last.pt, which was not chosen
        about["progress"] = {**about["progress"], "best": math.inf}
    about["provenance"] = {**about.get("provenance", {}), "exported_from_sha256": found.sha256}
    tensors = {name: value.contiguous() for name, value in weights.items()}
    data = safetensors.torch.save(tensors, {"format": "pt", "inpaint": json.dumps(about)})
    with replacing(out, WEIGHTS, overwrite) as temporary:
        Path(temporary).write_bytes(data)
    return len(data)
