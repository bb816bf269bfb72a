"""What a pixel's distribution depends on, found by gradients."""

import torch

from models.inpainter import Inpainter
from models.intensity import normalize


def earlier_pixels_seen(model: Inpainter) -> tuple[int, int]:
    """How many of the hole's pixels reach the distribution of its last one, and how many there are beside it.

    The border is not counted: the tower sees all of it. Dropout should be off.
    """
    _, _, h, w = model.hole
    device, generator = next(model.parameters()).device, torch.Generator().manual_seed(0)
    border, center = (
        torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=generator).to(device)
        for size in ((model.image_size, model.image_size), (h, w))
    )
    image, caption = model.inputs(border, None)
    pixels = normalize(center).requires_grad_()
    params = model.net.params(image, caption, pixels)[:, :, -1, -1]  # (1, P)
    if not params.requires_grad:  # pixels are independent
        return 0, h * w - 1
    weights = torch.randn(params.shape, generator=generator).to(device)
    (gradient,) = torch.autograd.grad((params * weights).sum(), pixels, allow_unused=True)
    if gradient is None:
        return 0, h * w - 1
    seen = gradient[0].abs().sum(0) > 0  # (h, w)
    seen[-1, -1] = False
    return int(seen.sum()), h * w - 1
