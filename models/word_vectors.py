"""Word vectors: what a caption's words mean, from a table made elsewhere; a few thousand captions teach few words.

The table is that of WordLlama [1], 32,000 tokens of 256 numbers, with its tokenizer: two files in the wheel of
`wordllama` (MIT). A caption's vector is the mean over its tokens, normalized. The table is not learned, and checkpoints
do not hold it.

[1] Miller 2024, WordLlama: recycled token embeddings from large language models
"""

import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

SIZE = 256  # of a vector
NAME = "l2_supercat"  # of the table
MISSING = "word_vectors needs wordllama: pip install inpaint-from-caption[words]"


class Table(NamedTuple):
    """A tokenizer of the library tokenizers, and the tokens' vectors, float32 (tokens, SIZE)."""

    tokenizer: object
    vectors: Tensor


@cache
def table() -> Table:
    """Read the files of the installed package, which need not be imported: it would set up logging.

    Raises: ValueError if there is none.
    """
    found = importlib.util.find_spec("wordllama")
    folder = Path() if found is None or found.origin is None else Path(found.origin).parent
    words = folder / "tokenizers" / f"{NAME}_tokenizer_config.json"
    vectors = folder / "weights" / f"{NAME}_{SIZE}.safetensors"
    if not (words.is_file() and vectors.is_file()):
        raise ValueError(MISSING)
    from tokenizers import Tokenizer  # comes with it

    tokenizer = Tokenizer.from_file(str(words))
    tokenizer.no_padding()
    return Table(tokenizer, load_file(vectors)["embedding.weight"].float())


def vectors_of(captions: list[str]) -> Tensor:
    """float32 (B, SIZE) on the CPU; zeros for captions without tokens."""
    tokenizer, vectors = table()
    tokens = [found.ids for found in tokenizer.encode_batch(captions, add_special_tokens=False)]  # type: ignore[attr-defined]
    means = [vectors[ids].mean(0) if ids else vectors.new_zeros(SIZE) for ids in tokens]
    return F.layer_norm(torch.stack(means), (SIZE,))
