"""Causal attention over a whole map: to the pixels so far and to patches of the border. attention_steps.py has the
twins.

[1] Chen, Mishra, Rohaninejad, Abbeel 2018, arXiv:1712.09763
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Canvas
from models.layers.maps import GLU, Conv1x1, elu_of
from models.layers.norm import PixelNorm

ATTENTIONS = ("heads", "gated")
PATCH = 4  # pixels, a side of the border patches attended to
KEY = 16  # channels of a key of GatedAttention, as in the authors' code
KeysValues = tuple[Tensor, Tensor]  # (B, heads, T, C / heads) each


class BorderAttention(nn.Module):
    """What both kinds of attention share: keys and values of the border, and the choice of heads.

    Attributes:
      heads: how many heads keys and values are split into.
    """

    seen: Tensor

    def __init__(self, canvas: Canvas, heads: int):
        super().__init__()
        self.canvas, self.heads = canvas, heads

    def see_border(self, channels: int, sizes: tuple[int, int]) -> None:
        """Make the layers of the border's keys and values, of `sizes` channels."""
        self.sizes = sizes
        self.nowhere = nn.Parameter(0.02 * torch.randn(1, sum(sizes), 1))  # the null key and its value
        side = -(-self.canvas.region.height // PATCH)
        hole = self.canvas.hole
        rows = range(-(-hole.top // PATCH), hole.bottom // PATCH)
        columns = range(-(-hole.left // PATCH), hole.right // PATCH)
        # patches that are not all in the hole; computed without tensors, so that the model can be built on "meta"
        seen = [n for n in range(side * side) if not (n // side in rows and n % side in columns)]
        self.register_buffer("seen", torch.tensor(seen, dtype=torch.int64), persistent=False)
        if len(self.seen):  # the hole is not the whole image
            self.patches = nn.Conv2d(4, channels, PATCH, stride=PATCH)
            self.patch_position = nn.Parameter(0.02 * torch.randn(1, channels, len(self.seen)))
            self.patch_key_value = nn.Conv1d(channels, sum(sizes), 1)

    def of_border(self, border: Tensor) -> KeysValues:
        """The null key and value, and those of the patches of a border (B, 4, H, W)."""
        x = self.nowhere.expand(border.shape[0], -1, -1)  # (B, sum of sizes, 1)
        if len(self.seen):
            border = border.to(self.nowhere.dtype)
            missing = -border.shape[2] % PATCH
            patches = self.patches(F.pad(border, (0, missing, 0, missing))).flatten(2)[..., self.seen]
            x = torch.cat([x, self.patch_key_value(F.elu(patches + self.patch_position))], dim=2)
        keys, values = x.split(self.sizes, dim=1)
        return self.split(keys), self.split(values)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, count: int) -> Tensor:
        """(B, heads, N, ...) queries, keys and values, of which the first `count` are the border's, and the others the
        hole's pixels, which see those before them -> (B, C, h, w)."""
        n = queries.shape[2]
        mask = torch.ones(n, count + n, dtype=torch.bool, device=queries.device).tril(count - 1)
        y = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)  # (B, heads, N, C / heads)
        return y.transpose(2, 3).flatten(1, 2).unflatten(2, (self.canvas.height, self.canvas.width))

    def split(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, heads, N, C / heads)."""
        return x.unflatten(1, (self.heads, -1)).transpose(2, 3)


class CausalAttention(BorderAttention):
    """Each pixel of the hole attends to those before it and to the border's patches; zero outside the hole. C channels
    -> C.

    Keys and values are made of a pixel's features and of the pixel itself. With a learned null key attention is never
    empty.
    """

    def __init__(self, canvas: Canvas, channels: int, heads: int):
        super().__init__(canvas, heads)
        self.norm = PixelNorm(channels)
        self.position = nn.Parameter(0.02 * torch.randn(1, channels, canvas.height, canvas.width))
        self.query_key_value = Conv1x1(channels, 3 * channels)
        self.own = Conv1x1(3, 2 * channels, bias=False)
        self.see_border(channels, (channels, channels))
        self.out = Conv1x1(channels, channels)

    def forward(self, x: Tensor, pixel: Tensor, of_border: KeysValues) -> Tensor:
        """(B, C, rows, columns) and the pixels themselves (B, 3, rows, columns) -> (B, C, rows, columns)."""
        x, pixel = self.canvas.hole_of(x), self.canvas.hole_of(pixel)
        features = self.query_key_value(self.norm(x) + self.position).flatten(2)  # (B, 3C, N)
        queries, keys, values = (self.split(part) for part in features.chunk(3, dim=1))
        pixel_keys, pixel_values = self.own(pixel).flatten(2).chunk(2, dim=1)
        keys = torch.cat([of_border[0], keys + self.split(pixel_keys)], dim=2)
        values = torch.cat([of_border[1], values + self.split(pixel_values)], dim=2)
        return self.canvas.around(self.out(self.attend(queries, keys, values, of_border[0].shape[2])))


class Gated1x1(nn.Module):
    """x + glu of two 1x1 layers, ELUs before them: C channels -> C.

    Args:
      concat: whether ELUs are concatenated.
      other: channels of a second map that it reads; 0 for none.
    """

    def __init__(self, channels: int, dropout: float, concat: bool, other: int = 0):
        super().__init__()
        self.elu, times = elu_of(concat)
        self.conv1 = Conv1x1(times * channels, channels)
        self.other = Conv1x1(times * other, channels, bias=False) if other else None
        self.dropout = nn.Dropout(dropout)
        self.conv2 = Conv1x1(times * channels, 2 * channels)
        self.glu = GLU()

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        y = self.conv1(self.elu(x))
        if self.other is not None:
            y = y + self.other(self.elu(other))
        return x + self.glu(self.conv2(self.dropout(self.elu(y))))


class GatedAttention(BorderAttention):
    """`CausalAttention` as in the code of [1]: one head, whose keys and values come from a gated 1x1 block over pixel,
    features and coordinates, and queries from one over features and coordinates. C channels -> C / 2.

    Departs from it: attention to the border, and to a learned null key.
    """

    coordinates: Tensor

    def __init__(self, canvas: Canvas, channels: int, dropout: float, concat: bool):
        super().__init__(canvas, heads=1)
        self.values = channels // 2
        self.content = Gated1x1(channels + 5, dropout, concat)
        self.key_value = Conv1x1(channels + 5, KEY + self.values)
        self.ask = Gated1x1(channels + 2, dropout, concat)
        self.query = Conv1x1(channels + 2, KEY)
        self.see_border(channels, (KEY, self.values))
        side, hole = canvas.region.height, canvas.hole
        rows = (torch.arange(hole.top, hole.bottom) / side - 0.5).reshape(-1, 1).expand(-1, canvas.width)
        columns = (torch.arange(hole.left, hole.right) / side - 0.5).expand(canvas.height, -1)
        self.register_buffer("coordinates", torch.stack([rows, columns])[None], persistent=False)  # (1, 2, h, w)

    def forward(self, x: Tensor, pixel: Tensor, of_border: KeysValues) -> Tensor:
        """(B, C, rows, columns) and the pixels themselves (B, 3, rows, columns) -> (B, C / 2, rows, columns)."""
        x, pixel = self.canvas.hole_of(x), self.canvas.hole_of(pixel).to(x.dtype)
        where = self.coordinates.to(x.dtype).expand(x.shape[0], -1, -1, -1)
        made = self.key_value(self.content(torch.cat([pixel, x, where], dim=1))).flatten(2)  # (B, KEY + C / 2, N)
        queries = self.query(self.ask(torch.cat([x, where], dim=1))).flatten(2)
        keys, values = (self.split(part).to(queries.dtype) for part in made.split(self.sizes, dim=1))
        keys, values = (torch.cat([b.to(k.dtype), k], dim=2) for b, k in zip(of_border, (keys, values), strict=True))
        y = self.attend(self.split(queries), keys, values, of_border[0].shape[2])
        return self.canvas.around(y)
