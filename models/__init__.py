"""Networks: border towers, caption encoder, likelihoods, and the Inpainter that joins them."""

from models.inpainter import DECODERS, TOWERS, Inpainter, build
from models.likelihoods import LIKELIHOODS

__all__ = ["DECODERS", "LIKELIHOODS", "TOWERS", "Inpainter", "build"]
