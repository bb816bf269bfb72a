"""An auxiliary loss that teaches the caption encoder what matters for the hole.

A linear layer predicts the center's mean colors, on a grid of 4 x 4, from the captions' summary and from the mean
colors of what is known, on a grid of 8 x 8. The layer is no part of the model: it is trained beside it, saved to resume
from, and neither averaged nor exported.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import Inpainter
from models.caption_encoder import CaptionEncoder
from models.intensity import normalize
from models.layers.modules import zero_

CENTER, BORDER = 4, 8  # sides of the grids


class WithColors(nn.Module):
    """A model that learns, and the layer beside it. One module, so that several processes share both's gradients.

    Args:
      model: an Inpainter that takes captions.
    """

    def __init__(self, model: Inpainter):
        super().__init__()
        self.model = model
        summary = CaptionEncoder.summary_size(model.image_size, model.config["word_vectors"])
        self.colors = nn.Linear(summary + 4 * BORDER**2, 3 * CENTER**2)
        zero_(self.colors)
        self.to(model.caption_encoder.linear.weight.device)  # type: ignore[union-attr]

    def forward(self, border: Tensor, center: Tensor, captions, known: Tensor) -> tuple[Tensor, Tensor]:
        """The arguments of `Inpainter.log_prob`.

        Returns: (its log_prob, float32 (B, 3, h, w); mean squared error of the center's colors in -1..1, float32 ()).
        """
        summaries = self.model.summaries(captions)  # (B, K)
        log_prob = self.model(border, center, summaries, known=known)
        with torch.autocast(border.device.type, enabled=False):
            predicted = self.colors(torch.cat([summaries, border_colors(border, known)], dim=1))
            return log_prob, F.mse_loss(predicted, center_colors(center))


def center_colors(center: Tensor) -> Tensor:
    """Mean colors of a center, uint8 (B, 3, h, w), on a grid: float32 (B, 3 CENTER^2) in -1..1."""
    return F.adaptive_avg_pool2d(normalize(center), CENTER).flatten(1)


def border_colors(border: Tensor, known: Tensor) -> Tensor:
    """Colors of the known pixels of images, uint8 (B, 3, H, W), summed over the cells of a grid and divided by the
    cells' areas, and what share of each cell is known: float32 (B, 4 BORDER^2)."""
    image = torch.cat([normalize(border) * known, known.float()], dim=1)  # (B, 4, H, W)
    return F.adaptive_avg_pool2d(image, BORDER).flatten(1)
