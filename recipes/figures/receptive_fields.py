"""Draw what one pixel's distribution depends on through the causal stack, family by family, found by gradients.

    python recipes/figures/receptive_fields.py recipes/figures/receptive_fields.png

For the pixel in the middle of the hole: the mean size of the gradient of its params to each pixel of the canvas, over
eight photos of noise and fresh weights of size s, on a logarithmic scale. White is exactly zero: the pixels not drawn
yet, what the stack does not read (the border tower sees all of the border), and the blind spot of PixelCNN.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it runs as a script, from anywhere

from data_prep.errors import run_main
from data_prep.files import replacing
from data_prep.outputs import check_outputs
from data_prep.recognise import png_kind, software
from models import build
from models.intensity import normalize

FAMILIES = {
    "PixelCNN": {"decoder": "pixelcnn", "dilation": False},
    "PixelCNN, dilated": {"decoder": "pixelcnn"},
    "Row LSTM": {"decoder": "rowlstm", "dilation": False},
    "Row LSTM, dilated": {"decoder": "rowlstm"},
    "Diagonal BiLSTM": {"decoder": "diagbilstm"},
    "Gated PixelCNN": {"decoder": "gated"},
    "PixelCNN++": {"decoder": "pixelcnnpp"},
    "PixelSNAIL": {"decoder": "pixelsnail"},
}
FIGURE = png_kind("receptive fields")
PHOTOS = 8
AT = 16  # row and column in the hole


def field(options: dict) -> torch.Tensor:
    """float64 (64, 64): the size of the gradient to each pixel."""
    torch.manual_seed(0)
    model = build(**options, likelihood="categorical", use_captions=False, color_conditioning=False).eval()
    noise = torch.randint(0, 256, (PHOTOS, 3, 64, 64), dtype=torch.uint8)
    x = torch.cat([normalize(noise), torch.ones(PHOTOS, 1, 64, 64)], dim=1).requires_grad_()  # (B, 4, H, W)
    with torch.no_grad():
        context, first = model.net.before_drawing(*model.inputs(noise, None))
    canvas = model.net.stack.canvas.of(x)
    params = model.net.head(first, model.net.stack(canvas, context))[:, :, AT, AT]  # (B, P)
    (gradient,) = torch.autograd.grad((params * torch.randn_like(params)).sum(), x)
    return gradient[:, :3].abs().mean((0, 1)).double()


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="the picture to write, a PNG")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that this script did not write")
    args = parser.parse_args(argv)
    check_outputs([(args.out, FIGURE)], overwrite=args.overwrite)
    figure, axes = pyplot.subplots(2, len(FAMILIES) // 2, figsize=(1.2 * len(FAMILIES), 5.8), layout="constrained")
    for axis, (name, options) in zip(axes.flat, FAMILIES.items(), strict=True):
        sizes = field(options)
        top = sizes.max().item()
        shown = sizes.masked_fill(sizes == 0, float("nan"))
        axis.imshow(shown, norm=LogNorm(top * 1e-6, top, clip=True), cmap="viridis_r", interpolation="nearest")
        axis.add_patch(Rectangle((15.5, 15.5), 32, 32, fill=False, edgecolor="black", linewidth=1))
        axis.add_patch(Rectangle((15.5 + AT, 15.5 + AT), 1, 1, color="crimson"))
        axis.set(title=name, xticks=[], yticks=[], xlim=(9.5, 53.5), ylim=(49.5, 9.5))
    with replacing(args.out, FIGURE, args.overwrite) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": software("receptive fields")})
    print(args.out)


if __name__ == "__main__":
    run_main(main)
