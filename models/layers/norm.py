"""Normalization that never mixes pixels or images: an image's score does not depend on its neighbours in the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PixelNorm(nn.LayerNorm):
    """Layer normalization over the channels of each pixel, or over each of `groups` of them: (B, C, H, W) -> the same
    shape."""

    def __init__(self, channels: int, groups: int = 1):
        super().__init__(channels)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return self.over_last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def over_last(self, x: Tensor) -> Tensor:
        """(..., C) -> the same shape; under autocast in its precision, as what follows would be cast to it."""
        y = self._normalized(x)
        device = x.device.type
        return y.to(torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype)

    def _normalized(self, x: Tensor) -> Tensor:
        if self.groups == 1 and x.device.type == "cpu":
            # in bfloat16 torch sums the gradients of weight and bias in bfloat16, too: they stop growing at 256
            return super().forward(x.to(self.weight.dtype))
        if self.groups == 1:
            return super().forward(x)
        parts = x.unflatten(-1, (self.groups, -1))  # (..., groups, C / groups)
        return F.layer_norm(parts, parts.shape[-1:], eps=self.eps).flatten(-2) * self.weight + self.bias
