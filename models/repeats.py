"""Images that stand several times in a row in a batch, with several captions or to draw several samples, are computed
once: captions enter after the border tower and the causal stack, unless they enter every layer."""

from collections.abc import Callable

import torch
from torch import Tensor


def without_repeats(function: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
    """`function(*inputs)`, of neighbouring rows that are equal in all inputs the first alone; of all, where gradients
    are taken.

    Args:
      function: of the inputs, each (B, ...) or None; returns (B, ...), each row from the inputs' same row alone.
    """
    present = [x for x in inputs if x is not None]
    if torch.is_grad_enabled() or len(present[0]) < 2:
        return function(*inputs)
    differs = torch.stack([(x[1:] != x[:-1]).flatten(1).any(1) for x in present]).any(0)  # (B - 1,)
    if differs.all():
        return function(*inputs)
    new = torch.cat([differs.new_ones(1), differs])  # (B,)
    found = function(*(None if x is None else x[new] for x in inputs))
    return found[new.cumsum(0) - 1]
