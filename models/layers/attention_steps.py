"""The twins of the layers in attention.py. twins.py says how they run."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.attention import BorderAttention, CausalAttention, GatedAttention, KeysValues
from models.layers.steps import Conv1x1Step
from models.layers.twins import Cursor, stepwise, twin_of


class AttentionStep:
    """What the steps of both attentions keep.

    Attributes:
      keys, values: of the border and of the pixels so far, with room for the rest.
      before: of the last pixel, what its key and value are made of once it is drawn.
    """

    def __init__(self, layer: BorderAttention, cursor: Cursor):
        self.cursor, self.canvas = cursor, layer.canvas
        self.source = layer
        self.border: KeysValues | None = None
        self.keys: Any = None
        self.values: Any = None
        self.before: Any = None

    def of_border(self, border: Tensor) -> KeysValues:
        """As the layer's, but computed only once."""
        if self.border is None:
            self.border = self.source.of_border(border)
        return self.border

    def start(self, of_border: KeysValues) -> tuple[int, int, int]:
        """The pixel's row and column in the hole, and how many keys it sees. At the first, make room for all keys."""
        canvas = self.canvas
        if self.keys is None:
            room = (0, 0, 0, canvas.height * canvas.width)
            self.keys, self.values = F.pad(of_border[0], room), F.pad(of_border[1], room)
        i, j = self.cursor.row - canvas.top, self.cursor.first - canvas.left
        return i, j, of_border[0].shape[2] + i * canvas.width + j


@twin_of(CausalAttention)
class CausalAttentionStep(AttentionStep):
    """One pixel (B, C) -> (B, C); zeros for columns outside the hole.

    Attributes:
      before: the last pixel's key and value, and a view of the pixel itself, which is drawn by the next step.
    """

    def __init__(self, layer: CausalAttention, cursor: Cursor):
        super().__init__(layer, cursor)
        self.split, self.normalized, self.position = layer.split, layer.norm.over_last, layer.position
        self.query_key_value = Conv1x1Step(layer.query_key_value, cursor)
        self.own, self.out = Conv1x1Step(layer.own, cursor), Conv1x1Step(layer.out, cursor)

    def __call__(self, x: Tensor, pixel: Tensor, of_border: KeysValues) -> Tensor:
        if not self.cursor.at_pixel:
            return torch.zeros_like(x)
        i, j, count = self.start(of_border)
        if self.before is not None:
            key, value, drawn = self.before
            pixel_key, pixel_value = self.own(drawn).unsqueeze(2).chunk(2, dim=1)
            self.keys[:, :, count - 1] = (key + self.split(pixel_key))[:, :, 0]
            self.values[:, :, count - 1] = (value + self.split(pixel_value))[:, :, 0]
        features = self.query_key_value(self.normalized(x) + self.position[:, :, i, j]).unsqueeze(2)  # (B, 3C, 1)
        query, key, value = (self.split(part) for part in features.chunk(3, dim=1))
        self.before = key, value, pixel
        y = F.scaled_dot_product_attention(query, self.keys[:, :, :count], self.values[:, :, :count])
        return self.out(y.flatten(1))


@twin_of(GatedAttention)
class GatedAttentionStep(AttentionStep):
    """One pixel (B, C) -> (B, C / 2); zeros for columns outside the hole.

    Attributes:
      before: the last pixel's features and coordinates, and a view of the pixel itself, drawn by the next step.
    """

    def __init__(self, layer: GatedAttention, cursor: Cursor):
        super().__init__(layer, cursor)
        self.layer = layer
        self.content, self.ask = stepwise(layer.content, cursor), stepwise(layer.ask, cursor)
        self.key_value, self.query = Conv1x1Step(layer.key_value, cursor), Conv1x1Step(layer.query, cursor)

    def __call__(self, x: Tensor, pixel: Tensor, of_border: KeysValues) -> Tensor:
        if not self.cursor.at_pixel:
            return x.new_zeros(*x.shape[:-1], self.layer.values)
        i, j, count = self.start(of_border)
        if self.before is not None:
            features, coordinates, drawn = self.before
            made = self.key_value(self.content(torch.cat([drawn, features, coordinates], dim=1)))
            key, value = made.split(self.layer.sizes, dim=1)
            self.keys[:, 0, count - 1], self.values[:, 0, count - 1] = key, value
        where = self.layer.coordinates[:, :, i, j].expand(x.shape[0], -1)
        self.before = x, where, pixel
        query = self.query(self.ask(torch.cat([x, where], dim=1)))[:, None, None]  # (B, 1, 1, KEY)
        y = F.scaled_dot_product_attention(query, self.keys[:, :, :count], self.values[:, :, :count])
        return y.flatten(1)
