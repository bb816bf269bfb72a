"""Causal attention over a whole map: to the pixels so far and to patches of the border. attention_steps.py has the
twin."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Canvas
from models.layers.maps import Conv1x1
from models.layers.norm import PixelNorm

ATTENTIONS = ("heads", "gated")
PATCH = 4  # pixels, a side of the border patches attended to
KeysValues = tuple[Tensor, Tensor]  # (B, heads, T, C / heads) each


class CausalAttention(nn.Module):
    """Each pixel of the hole attends to those before it and to the border's patches; zero outside the hole. C channels
    -> C.

    Keys and values are made of a pixel's features and of the pixel itself. With a learned null key attention is never
    empty.
    """

    seen: Tensor

    def __init__(self, canvas: Canvas, channels: int, heads: int):
        super().__init__()
        self.canvas, self.heads = canvas, heads
        self.norm = PixelNorm(channels)
        self.position = nn.Parameter(0.02 * torch.randn(1, channels, canvas.height, canvas.width))
        self.query_key_value = Conv1x1(channels, 3 * channels)
        self.own = Conv1x1(3, 2 * channels, bias=False)
        self.nowhere = nn.Parameter(0.02 * torch.randn(1, 2 * channels, 1))  # the null key and its value
        side = -(-canvas.region.height // PATCH)
        hole = canvas.hole
        rows = range(-(-hole.top // PATCH), hole.bottom // PATCH)
        columns = range(-(-hole.left // PATCH), hole.right // PATCH)
        # patches that are not all in the hole; computed without tensors, so that the model can be built on "meta"
        seen = [n for n in range(side * side) if not (n // side in rows and n % side in columns)]
        self.register_buffer("seen", torch.tensor(seen, dtype=torch.int64), persistent=False)
        if len(self.seen):  # the hole is not the whole image
            self.patches = nn.Conv2d(4, channels, PATCH, stride=PATCH)
            self.patch_position = nn.Parameter(0.02 * torch.randn(1, channels, len(self.seen)))
            self.patch_key_value = nn.Conv1d(channels, 2 * channels, 1)
        self.out = Conv1x1(channels, channels)

    def of_border(self, border: Tensor) -> KeysValues:
        """The null key and value, and those of the patches of a border (B, 4, H, W)."""
        x = self.nowhere.expand(border.shape[0], -1, -1)  # (B, 2C, 1)
        if len(self.seen):
            border = border.to(self.out.weight.dtype)
            missing = -border.shape[2] % PATCH
            patches = self.patches(F.pad(border, (0, missing, 0, missing))).flatten(2)[..., self.seen]
            x = torch.cat([x, self.patch_key_value(F.elu(patches + self.patch_position))], dim=2)  # (B, 2C, T)
        keys, values = x.chunk(2, dim=1)
        return self.split(keys), self.split(values)

    def forward(self, x: Tensor, pixel: Tensor, of_border: KeysValues) -> Tensor:
        """(B, C, rows, columns) and the pixels themselves (B, 3, rows, columns) -> (B, C, rows, columns)."""
        x, pixel = self.canvas.hole_of(x), self.canvas.hole_of(pixel)
        features = self.query_key_value(self.norm(x) + self.position).flatten(2)  # (B, 3C, N)
        queries, keys, values = (self.split(part) for part in features.chunk(3, dim=1))
        pixel_keys, pixel_values = self.own(pixel).flatten(2).chunk(2, dim=1)
        n, known = queries.shape[2], of_border[0].shape[2]
        keys = torch.cat([of_border[0], keys + self.split(pixel_keys)], dim=2)
        values = torch.cat([of_border[1], values + self.split(pixel_values)], dim=2)
        mask = torch.ones(n, known + n, dtype=torch.bool, device=x.device).tril(known - 1)
        y = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)  # (B, heads, N, C / heads)
        return self.canvas.around(self.out(y.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[2:])))

    def split(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, heads, N, C / heads)."""
        return x.unflatten(1, (self.heads, -1)).transpose(2, 3)
