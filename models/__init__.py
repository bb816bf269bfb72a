"""Networks: border towers, causal stacks, caption encoder, likelihoods, and the Inpainter that joins them."""

from models.factory import DECODERS, TOWERS, build
from models.inpainter import Inpainter
from models.likelihoods import LIKELIHOODS

__all__ = ["DECODERS", "LIKELIHOODS", "TOWERS", "Inpainter", "build"]
