"""Gradients in bfloat16 on a CPU are float32's, but for rounding: every layer of every decoder and size, the towers and
the caption encoder among them, on the maps that it gets in training.

What was found by comparing 1,500 shapes of torch 2.13's convolutions (kernel, stride, dilation, groups, channels,
padding, transposed, both memory formats): the weight's gradient of dilated kernels on channels-last maps, without AMX,
unless 16 divides the input channels or there are fewer (models/layers/masked.py keeps such layers out of it); with AMX
the output of 4 x 4 kernels with stride 4 and 16 or more input channels, which no model has. Strided, transposed and
grouped kernels are right. Layer norm sums the gradients of its weight and bias in bfloat16 (models/layers/norm.py).
"""

import itertools
import os
import subprocess
import sys

import pytest
import torch

from models import DECODERS
from models.layers.maps import CausalConv
from models.layers.masked import Reach
from models.layers.norm import PixelNorm

BOUND = 0.02  # relative; rounding to bfloat16 is 0.003, the recurrent layers sum up to more
WITHOUT_AMX = "AVX512_CORE_BF16"  # what oneDNN may use at most
SIZES = ("xs", "s", "m", "l")
QUICK = {
    *((decoder, "xs", None) for decoder in DECODERS),
    ("pixelcnn", "xs", WITHOUT_AMX),
    ("contour", "xs", WITHOUT_AMX),
}


def errors_of(root, decoder, size, instructions, *options):
    """{layer: relative error} of a model's layers, in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    if instructions:
        environment["ONEDNN_MAX_CPU_ISA"] = instructions
    command = [sys.executable, root / "tests" / "bfloat16_layers.py", decoder, size, *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-500:]}"
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return {f"{model}: {layer}": float(error) for error, model, layer in rows}


@pytest.mark.parametrize(
    ("decoder", "size", "instructions"),
    [
        pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow)
        for case in itertools.product(DECODERS, SIZES, (None, WITHOUT_AMX))
    ],
)
def test_every_layer_s_gradient_in_bfloat16_is_float32_s_but_for_rounding(root, decoder, size, instructions):
    errors = errors_of(root, decoder, size, instructions)
    assert len(errors) > 20 and max(errors.values()) > 1e-4  # some layer was in bfloat16
    assert not {layer: error for layer, error in errors.items() if not error < BOUND}


@pytest.mark.parametrize(("decoder", "width"), [("pixelcnn", "48"), ("gated", "24"), ("rowlstm", "36")])
def test_so_it_is_at_widths_that_no_power_of_two_divides(root, decoder, width):
    errors = errors_of(root, decoder, "xs", WITHOUT_AMX, "--width", width)
    assert not {layer: error for layer, error in errors.items() if not error < BOUND}


def test_a_norm_s_gradient_in_bfloat16_grows_with_the_number_of_pixels():
    norm, x = PixelNorm(8), torch.randn(4, 8, 40, 40, generator=torch.Generator().manual_seed(0)).bfloat16()
    norm(x).float().sum().backward()
    assert norm.bias.grad.tolist() == [4 * 40 * 40] * 8


@pytest.mark.parametrize("inputs", [24, 40, 132])
def test_channels_of_zeros_leave_a_dilated_layer_s_output_as_it_was(inputs):
    torch.manual_seed(0)
    layer, x = CausalConv(inputs, 10, Reach(1, 1, 1), dilation=2), torch.randn(2, inputs, 9, 11)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        small, missing = layer(x), layer._missing_channels(x)
    assert missing == -inputs % 16 and layer._missing_channels(x) == 0  # none in float32
    torch.testing.assert_close(small.float(), layer(x), atol=0.02, rtol=0.02)
