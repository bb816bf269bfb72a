"""Where a decoder departs from its paper, as data: what stacks and likelihoods list in DEPARTS, and what they share.

A recipe named after the paper sets the options that undo its decoder's departures, and names those that none undoes.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Departure(NamedTuple):
    """One of them.

    Attributes:
      what: in a few words, as a recipe's "departs" says it.
      undone_by: the options that undo it; None if none do.
      only_with: "colors" if grey or black-and-white images are not concerned, "captions" if models without are not.
    """

    what: str
    undone_by: Mapping[str, Any] | None = None
    only_with: str = ""


TOWER = Departure("a border tower stands beside the stack", {"tower": "none"})
POSITION = Departure("sines of position are added to the first layer", {"position": False})
SILU_HEAD = Departure("a SiLU follows each 1x1 layer, there a ReLU", {"head_activation": "relu"})
MASK_AS_INPUT = Departure("the first layer also reads the mask of known pixels")
COLORS_BY_HEAD = Departure("the 1x1 layers condition colors, there channel groups throughout", None, "colors")
NO_WEIGHT_NORM = Departure("weights are neither normalized nor initialized from data")
