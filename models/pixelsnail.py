"""PixelSNAIL [1]: blocks of causal gated convolutions, each followed by attention over everything so far.

A pixel attends to every pixel drawn before it, to patches of the whole border, which are known from the start, and to
one key of no place, so that there is always something to attend to.
Departs from [1]: attention to the border; each block is conditioned on the border tower's map (and the caption's
vector).

[1] Chen, Mishra, Rohaninejad, Abbeel 2018, arXiv:1712.09763
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.causal import Cache, CausalConv, PixelNorm, Pointwise, RowsAbove, channel_dim
from models.pixelcnnpp import concat_elu
from models.stack import Canvas, Condition, Context, Position, Stack

PATCH = 4  # pixels, a side of the border patches attended to
SIZES = {
    "xs": {"channels": 16, "blocks": 1, "convolutions": 1, "heads": 2},
    "s": {"channels": 48, "blocks": 3, "convolutions": 2, "heads": 3},
    "m": {"channels": 96, "blocks": 6, "convolutions": 3, "heads": 4},
    "l": {"channels": 160, "blocks": 10, "convolutions": 4, "heads": 8},
}


class GatedBlock(nn.Module):
    """x + glu of two causal 3x3 convolutions with concatenated ELUs: C channels -> C."""

    def __init__(self, channels: int, tower_channels: int, caption_channels: int, dropout: float):
        super().__init__()
        self.conv1 = CausalConv(2 * channels, channels, above=1, left=1, right=1)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = CausalConv(2 * channels, 2 * channels, above=1, left=1, right=1)
        self.condition = Condition(tower_channels, caption_channels, 2 * channels)

    def forward(self, x: Tensor, given: Tensor, cache: Cache | None) -> Tensor:
        y = self.conv1(concat_elu(x), cache)
        y = self.conv2(self.dropout(concat_elu(y)), cache, given)
        return x + F.glu(y, dim=channel_dim(y))


class CausalAttention(nn.Module):
    """Each pixel of the hole attends to those before it and to the border's patches; zero outside the hole.

    Keys and values are made of a pixel's features and of the pixel itself. C channels -> C.
    """

    def __init__(self, canvas: Canvas, channels: int, heads: int):
        super().__init__()
        self.canvas, self.heads = canvas, heads
        self.norm = PixelNorm(channels)
        self.position = nn.Parameter(0.02 * torch.randn(1, channels, canvas.height, canvas.width))
        self.query_key_value = Pointwise(channels, 3 * channels)
        self.own = Pointwise(3, 2 * channels, bias=False)
        self.nowhere = nn.Parameter(0.02 * torch.randn(1, 2 * channels, 1))
        side = -(-canvas.region.height // PATCH)
        hole = canvas.hole
        rows = range(-(-hole.top // PATCH), hole.bottom // PATCH)
        columns = range(-(-hole.left // PATCH), hole.right // PATCH)
        seen = [n for n in range(side * side) if not (n // side in rows and n % side in columns)]  # not all in the hole
        self.register_buffer("seen", torch.tensor(seen, dtype=torch.int64), persistent=False)
        if len(self.seen):  # the hole is not the whole image
            self.patches = nn.Conv2d(4, channels, PATCH, stride=PATCH)
            self.patch_position = nn.Parameter(0.02 * torch.randn(1, channels, len(self.seen)))
            self.patch_key_value = nn.Conv1d(channels, 2 * channels, 1)
        self.out = Pointwise(channels, channels)

    def down(self, context: Context, cache: Cache | None) -> tuple[Tensor, Tensor]:
        """Keys and values of the border's patches and of nowhere, (B, heads, T, C / heads) each; computed once for a
        cache."""
        state = {} if cache is None else cache.of(self)
        if "patches" not in state:
            x = self.nowhere.expand(context.border.shape[0], -1, -1)  # (B, 2C, 1)
            if len(self.seen):
                x = torch.cat([x, self._of_border(context.border.to(self.out.weight.dtype))], dim=2)
            keys, values = x.chunk(2, dim=1)
            state["patches"] = self._split(keys), self._split(values)
        return state["patches"]

    def _of_border(self, border: Tensor) -> Tensor:
        """Keys and values of its patches: (B, 4, H, W) -> (B, 2C, T - 1)."""
        missing = -border.shape[2] % PATCH
        x = self.patches(F.pad(border, (0, missing, 0, missing)))
        return self.patch_key_value(F.elu(x.flatten(2)[..., self.seen] + self.patch_position))

    def right(self, x: Tensor, own: Tensor, given: tuple[Tensor, Tensor], cache: Cache | None) -> Tensor:
        if cache is None:
            y = self._attend_all(self.canvas.hole_of(x), self.canvas.hole_of(own), given)
            return self.canvas.around(y)
        return self._attend_one(x, own, given, cache) if x.dim() == 2 else torch.zeros_like(x)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.heads, -1)).transpose(2, 3)  # (B, heads, N, C / heads)

    def _queries(self, x: Tensor, position: Tensor) -> list[Tensor]:
        """Queries, keys and values, (B, heads, N, C / heads) each; of one pixel N is 1."""
        x = self.query_key_value(self.norm(x) + position)  # (B, 3C, ...)
        x = x.flatten(2) if x.dim() == 4 else x.unsqueeze(2)  # (B, 3C, N)
        return [self._split(part) for part in x.chunk(3, dim=1)]

    def _attend_all(self, x: Tensor, own: Tensor, given: tuple[Tensor, Tensor]) -> Tensor:
        q, k, v = self._queries(x, self.position)
        own_k, own_v = self.own(own).flatten(2).chunk(2, dim=1)
        n, patches = q.shape[2], given[0].shape[2]
        k, v = (
            torch.cat([given[0], k + self._split(own_k)], dim=2),
            torch.cat([given[1], v + self._split(own_v)], dim=2),
        )
        mask = torch.ones(n, patches + n, dtype=torch.bool, device=x.device).tril(patches - 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, heads, N, C / heads)
        return self.out(y.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[2:]))

    def _attend_one(self, x: Tensor, own: Tensor, given: tuple[Tensor, Tensor], cache: Cache) -> Tensor:
        """Of the pixel at hand, (B, C). Its key and value wait for the next one: by then `own`, a view of the canvas,
        holds what was drawn."""
        state, place = cache.of(self), self.canvas
        i, j = cache.row - place.top, cache.first - place.left
        at = given[0].shape[2] + i * place.width + j
        if "keys" not in state:
            room = (0, 0, 0, place.height * place.width)
            state["keys"], state["values"] = F.pad(given[0], room), F.pad(given[1], room)
        else:
            k, v, drawn = state["before"]
            own_k, own_v = self.own(drawn).unsqueeze(2).chunk(2, dim=1)
            state["keys"][:, :, at - 1] = (k + self._split(own_k))[:, :, 0]
            state["values"][:, :, at - 1] = (v + self._split(own_v))[:, :, 0]
        q, k, v = self._queries(x, self.position[:, :, i, j])
        state["before"] = k, v, own
        y = F.scaled_dot_product_attention(q, state["keys"][:, :, :at], state["values"][:, :, :at])
        return self.out(y.flatten(1))


class Block(nn.Module):
    """Convolutions, attention, and a gated 1x1 layer that joins the two."""

    def __init__(
        self, canvas: Canvas, channels: int, convolutions: int, heads: int, tower: int, caption: int, dropout: float
    ):
        super().__init__()
        self.convolutions = nn.ModuleList(GatedBlock(channels, tower, caption, dropout) for _ in range(convolutions))
        self.attention = CausalAttention(canvas, channels, heads)
        self.join = Pointwise(2 * channels, 2 * channels)

    def down(self, context: Context, cache: Cache | None) -> list:
        return [*(block.condition(context) for block in self.convolutions), self.attention.down(context, cache)]

    def right(self, x: Tensor, own: Tensor, given: list, cache: Cache | None) -> Tensor:
        for block, extra in zip(self.convolutions, given[:-1], strict=True):
            x = block(x, extra, cache)
        y = self.attention.right(x, own, given[-1], cache)
        dim = channel_dim(x)
        return x + F.glu(self.join(F.elu(torch.cat([x, y], dim=dim))), dim=dim)


class PixelSNAILStack(Stack):
    """See the module; `channels` features, `dropout` in every block."""

    def __init__(
        self, canvas: Canvas, size: str, tower_channels: int, caption_channels: int, dropout: float = 0.0, **_
    ):
        super().__init__(canvas)
        plan = SIZES[size]
        self.channels = channels = plan["channels"]
        self.above = RowsAbove(4, channels, rows=3, side=3)
        self.position = Position(canvas, channels)
        self.left = CausalConv(4, channels, above=0, left=2, bias=False)
        self.blocks = nn.ModuleList(
            Block(canvas, channels, plan["convolutions"], plan["heads"], tower_channels, caption_channels, dropout)
            for _ in range(plan["blocks"])
        )

    def down(self, x: Tensor, context: Context, cache: Cache | None = None) -> list:
        return [self.above(x, cache) + self.position(cache), *(block.down(context, cache) for block in self.blocks)]

    def right(self, x: Tensor, own: Tensor, given: list, cache: Cache | None = None) -> Tensor:
        y = self.left(x, cache, given[0])
        for block, extra in zip(self.blocks, given[1:], strict=True):
            y = block.right(y, own, extra, cache)
        return F.elu(y)
