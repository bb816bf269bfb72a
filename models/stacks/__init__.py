"""Causal stacks, one family a file, in the order in which they were published. Adding one is a file and a line here."""
# ruff: noqa: F401, I001 - each registers its decoders

from models.stacks import pixelcnn
from models.stacks import pixelrnn
from models.stacks import gated
from models.stacks import pixelcnnpp
from models.stacks import pixelsnail
