"""Networks: border towers, causal stacks, caption encoder, likelihoods, and the Inpainter that joins them."""

from models.border_tower import TOWERS
from models.factory import build
from models.inpainter import Inpainter
from models.likelihoods import LIKELIHOODS
from models.stacks.families import DECODERS

__all__ = ["DECODERS", "LIKELIHOODS", "TOWERS", "Inpainter", "build"]
