"""Weights in one safetensors file, as `inpaint export` writes it (exporting.py) and as they come with the package.

The file holds a checkpoint's averaged weights, in float32 or float16, and in its metadata, as JSON under the key
"inpaint", the rest of the checkpoint but paths and the optimizer. Reading it gives a checkpoint again. The format [1]
is a JSON header and the tensors' bytes, so reading runs no code.

[1] https://github.com/huggingface/safetensors
"""

import os
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from data_prep.errors import InputError
from data_prep.recognise import weights_header

SHIPPED = Path(__file__).parent / "weights" / "photos.safetensors"  # what comes with the package
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def located(path: str | Path) -> str | Path:
    """The path itself; or where no such file exists and it is the name of weights of the package, theirs."""
    if not str(path).isidentifier() or (os.path.lexists(path) and not os.path.isdir(path)):
        return path
    mine = SHIPPED.with_name(f"{path}.safetensors")
    return mine if mine.is_file() else path


def is_safetensors(data: memoryview) -> bool:
    """Whether these bytes may be a safetensors file: eight bytes of length, then JSON."""
    return len(data) > 8 and data[8:9] == b"{"


def parse(data: memoryview, path: str | Path) -> dict:
    """The checkpoint in a safetensors file's bytes: float32 weights, no optimizer. Its values are not checked yet.

    Raises: InputError if the file is damaged, or not one that `export` wrote.
    """
    try:
        about = weights_header(data)
        weights = safetensors.torch.load(bytes(data))
    except (ValueError, KeyError, RecursionError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not weights of this program: damaged or foreign: {reason}") from None
    for name, value in weights.items():
        if value.dtype not in DTYPES:
            raise InputError(f"{path}: not weights of this program: {name[:60]!r} is {value.dtype}")
    return {**about, "weights": {}, "averaged": {name: value.float() for name, value in weights.items()}}
