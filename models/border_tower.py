"""Border towers: unmasked networks from the border to features at the hole's pixels.

`UNetTower` is the default: four resolutions [1] with self-attention at the lowest, so that every center pixel sees the
whole border. Its normalization is over the channels of one pixel [2]: an image's score does not depend on its
neighbours in the batch, and a tower computed on the hole alone equals one computed everywhere. `Ift6266Tower` is the
net of the 2017 project: one 7x7 convolution and 16 bottleneck blocks [3] on the zeroed border. `NoTower` leaves the
border to the causal stack.

[1] Ronneberger et al. 2015, arXiv:1505.04597   [2] Ba et al. 2016, arXiv:1607.06450
[3] van den Oord et al. 2016, arXiv:1601.06759 (the PixelCNN block, without its masks)
Departs from [1]: skips are added, not concatenated; residual blocks; nearest-neighbour upsampling.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Hole
from models.layers.modules import module_list, module_lists, xavier_, zero_
from models.layers.norm import PixelNorm
from models.layers.region import Region, conv, crop

UNET_SIZES: dict[str, dict[str, tuple[int, ...]]] = {
    "xs": {"channels": (24, 32, 48, 64), "encoder_blocks": (1, 1, 2), "decoder_blocks": (1, 1, 1)},
    "s": {"channels": (24, 48, 96, 128), "encoder_blocks": (1, 2, 3), "decoder_blocks": (1, 1, 1)},
    "m": {"channels": (32, 64, 128, 192), "encoder_blocks": (2, 2, 3), "decoder_blocks": (2, 2, 1)},
    "l": {"channels": (64, 128, 256, 384), "encoder_blocks": (3, 3, 4), "decoder_blocks": (3, 3, 2)},
}


class BorderTower(nn.Module, ABC):
    """An image and its mask -> features at the hole's pixels.

    Attributes:
      sees_mask: whether it can tell known pixels from black.
      xavier: whether all of a model with this tower starts with Xavier's weights.
      clips: whether it has ReLUs that are clipped.
      empty: whether it has no features at all.
      head_activation: of the two 1x1 layers, without a causal stack.
      out_channels: C, of the features.
    """

    sees_mask: ClassVar[bool] = True
    xavier: ClassVar[bool] = False
    clips: ClassVar[bool] = False
    empty: ClassVar[bool] = False
    head_activation: ClassVar[type[nn.Module]] = nn.SiLU

    def __init__(self, hole: Hole, image_size: int, out_channels: int):
        super().__init__()
        self.hole, self.image_size, self.out_channels = hole, image_size, out_channels

    @classmethod
    @abstractmethod
    def build(
        cls, hole: Hole, image_size: int, size: str, in_channels: int, dropout: float, clip: float | None
    ) -> "BorderTower":
        """The tower of a size. The 2017 net has one size, no dropout, and reads 3 channels; `clip` is its own."""

    @property
    @abstractmethod
    def head_width(self) -> int:
        """Channels of the two 1x1 layers, without a causal stack."""

    def prepare(self, image: Tensor) -> Tensor:
        """What `forward` reads of an image in -1..1 with its mask (B, 4 or more, H, W)."""
        return image

    @abstractmethod
    def forward(self, x: Tensor, everywhere: bool = False) -> Tensor:
        """(B, in_channels, H, W) -> (B, C, h, w). With `everywhere`, each layer runs on the whole map (the reference
        that tests compare with)."""


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), 3x3; starts as the identity."""

    margin = 2

    def __init__(self, channels: int, dropout: float = 0.0):
        super().__init__()
        self.norm1 = PixelNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3)
        self.norm2 = PixelNorm(channels)
        self.dropout = nn.Dropout2d(dropout)
        self.conv2 = nn.Conv2d(channels, channels, 3)
        zero_(self.conv2)  # the block starts as the identity, so depth costs nothing at first

    def forward(self, x: Tensor, have: Region, want: Region) -> Tensor:
        middle = want.grow(1)
        y = conv(self.conv1, F.silu(self.norm1(x)), have, middle)  # (B, C, middle)
        y = conv(self.conv2, self.dropout(F.silu(self.norm2(y))), middle, want)  # (B, C, want)
        return crop(x, have, want) + y


class SelfAttention(nn.Module):
    """Every pixel attends to every pixel of the map; learned positions. Departs from arXiv:1706.03762: one residual."""

    def __init__(self, channels: int, height: int, width: int, head_channels: int = 32):
        super().__init__()
        self.heads = channels // head_channels
        self.norm = PixelNorm(channels)
        self.position = nn.Parameter(0.02 * torch.randn(1, channels, height, width))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        zero_(self.out)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x) + self.position)  # (B, 3C, h, w)
        qkv = qkv.reshape(b, 3, self.heads, c // self.heads, h * w).transpose(-1, -2)  # (B, 3, nh, hw, C/nh)
        y = F.scaled_dot_product_attention(*qkv.unbind(1))  # (B, nh, hw, C/nh)
        return x + self.out(y.transpose(-1, -2).reshape(b, c, h, w))


class UNetTower(BorderTower):
    """(B, in_channels, H, W) -> (B, out_channels, h, w): features at the hole's pixels that see the whole border.

    The encoder starts at half resolution. At full resolution only what the decoder's last blocks read is computed, so
    the costliest maps are no larger than the hole and its margin. `size` names a row of UNET_SIZES: channels from full
    resolution down, blocks of the encoder from half resolution down, blocks of the decoder from full resolution down.
    The image is halved three times, or as often as its side is even.
    """

    def __init__(self, hole: Hole, image_size: int, size: str = "s", in_channels: int = 4, dropout: float = 0.0):
        plan = UNET_SIZES[size]
        halvings = 0
        while halvings < len(plan["encoder_blocks"]) and image_size % 2 ** (halvings + 1) == 0:
            halvings += 1
        if halvings == 0:
            raise ValueError(f"image_size must be even, not {image_size}")
        channels = plan["channels"][: halvings + 1]
        super().__init__(hole, image_size, channels[0])
        # no dropout at full and half resolution, where it only blurs edges
        rates = [dropout if level >= 2 else 0.0 for level in range(halvings + 1)]
        self.stem = nn.Conv2d(in_channels, channels[0], 3)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 2, stride=2) for a, b in zip((in_channels, *channels[1:]), channels[1:], strict=False)
        )
        self.encoder = module_lists(
            [ResidualBlock(channels[level], rates[level]) for _ in range(plan["encoder_blocks"][level - 1])]
            for level in range(1, halvings + 1)
        )
        lowest = image_size // 2**halvings
        self.attention = SelfAttention(channels[-1], lowest, lowest)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(channels, channels[1:], strict=False))
        self.decoder = module_lists(
            [ResidualBlock(channels[level], rates[level]) for _ in range(plan["decoder_blocks"][level])]
            for level in range(halvings)
        )
        self.norm = PixelNorm(channels[0])

    @classmethod
    def build(
        cls, hole: Hole, image_size: int, size: str, in_channels: int, dropout: float, clip: float | None
    ) -> "UNetTower":
        return cls(hole, image_size, size, in_channels, dropout)

    @property
    def head_width(self) -> int:
        return max(64, 2 * self.out_channels)

    def forward(self, x: Tensor, everywhere: bool = False) -> Tensor:
        plan = self._plan_decoder(everywhere)
        whole = Region.whole(self.image_size, self.image_size)
        skips = [conv(self.stem, x, whole, plan[0][0])]  # (B, C0, plan[0][0])
        have = [plan[0][0]]
        for down, blocks in zip(self.down, self.encoder, strict=True):
            x = down(x)  # (B, C_l, H / 2^l, W / 2^l)
            whole = whole.halve()
            for i, block in enumerate(blocks):
                x = block(x, whole, whole)
                if blocks is self.encoder[-1] and i == 0:
                    x = self.attention(x)
            skips.append(x)
            have.append(whole)
        x = skips.pop()
        here = have.pop()
        for level in reversed(range(len(self.decoder))):
            first, *wants = plan[level]
            below = first.halve()
            x = F.interpolate(self.up[level](crop(x, here, below)), scale_factor=2.0, mode="nearest")
            x = crop(x, below.double(), first) + crop(skips[level], have[level], first)  # (B, C_l, first)
            here = first
            for block, want in zip(self.decoder[level], wants, strict=True):
                x = block(x, here, want)  # (B, C_l, want)
                here = want
        hole = Region.of_hole(self.hole, self.image_size, self.image_size)
        return F.silu(self.norm(crop(x, here, hole)))  # (B, C0, h, w)

    def _plan_decoder(self, everywhere: bool) -> list[list[Region]]:
        """For each level the regions of its blocks: the first one's input, then each one's output."""
        want = Region.of_hole(self.hole, self.image_size, self.image_size)
        if everywhere:
            want = Region.whole(self.image_size, self.image_size)
        plan = []
        for blocks in self.decoder:
            regions = [want]
            for block in reversed(blocks):
                regions.insert(0, regions[0].grow(block.margin))
            plan.append(regions)
            want = regions[0].halve()
        return plan


def clipped_relu(x: Tensor, clip: float) -> Tensor:
    """min(max(x, 0), clip), in place."""
    return F.hardtanh(x, 0.0, clip, inplace=True)


class BottleneckBlock(nn.Module):
    """relu(x + 1x1(relu(3x3(relu(1x1 x))))), clipped ReLUs, 64 -> 32 -> 32 -> 64: the 2017 project's block."""

    margin = 1

    def __init__(self, channels: int = 64, inner: int = 32, clip: float = 6.0):
        super().__init__()
        self.clip = clip
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.spatial = nn.Conv2d(inner, inner, 3)
        self.expand = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor, have: Region, want: Region) -> Tensor:
        need = want.grow(1)
        x = crop(x, have, need)
        y = clipped_relu(self.reduce(x), self.clip)  # (B, 32, need)
        y = clipped_relu(conv(self.spatial, y, need, want), self.clip)  # (B, 32, want)
        return clipped_relu(self.expand(y).add_(crop(x, need, want)), self.clip)  # (B, 64, want)


class Ift6266Tower(BorderTower):
    """The 2017 net's body: (B, 3, H, W) -> (B, 64, h, w), 7x7 convolution and 16 blocks, no mask plane.

    Its receptive field is 19 pixels, so the middle of a 32 x 32 hole hardly sees the border. The project clipped its
    ReLUs at 10, in the two 1x1 layers too (`relu_clip`); by default they are clipped at 6 [4], and not there.
    [4] Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10
    """

    sees_mask = False
    xavier = True
    clips = True
    head_activation = nn.ReLU
    head_width = 32

    def __init__(self, hole: Hole, image_size: int, in_channels: int = 3, blocks: int = 16, clip: float = 6.0):
        super().__init__(hole, image_size, 64)
        self.clip = clip
        self.stem = nn.Conv2d(in_channels, 64, 7)
        self.blocks = module_list(BottleneckBlock(clip=clip) for _ in range(blocks))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                xavier_(layer.weight, layer.bias)

    @classmethod
    def build(
        cls, hole: Hole, image_size: int, size: str, in_channels: int, dropout: float, clip: float | None
    ) -> "Ift6266Tower":
        return cls(hole, image_size, clip=clip or 6.0)

    def prepare(self, image: Tensor) -> Tensor:
        """Intensities in 0..1, zero where unknown, without the mask: (B, 3, H, W)."""
        return (image[:, :3] + image[:, 3:]) / 2

    def forward(self, x: Tensor, everywhere: bool = False) -> Tensor:
        whole = Region.whole(self.image_size, self.image_size)
        hole = Region.of_hole(self.hole, self.image_size, self.image_size)
        margins = [sum(block.margin for block in self.blocks[i:]) for i in range(len(self.blocks) + 1)]
        wants = [whole if everywhere else hole.grow(margin) for margin in margins]
        x = clipped_relu(conv(self.stem, x, whole, wants[0]), self.clip)  # (B, 64, wants[0])
        for block, have, want in zip(self.blocks, wants, wants[1:], strict=False):
            x = block(x, have, want)  # (B, 64, want)
        return crop(x, wants[-1], hole)  # (B, 64, h, w)


class NoTower(BorderTower):
    """No tower: features of no channels, (B, in_channels, H, W) -> (B, 0, h, w)."""

    sees_mask = False
    empty = True
    head_width = 0

    def __init__(self, hole: Hole, image_size: int):
        super().__init__(hole, image_size, 0)

    @classmethod
    def build(
        cls, hole: Hole, image_size: int, size: str, in_channels: int, dropout: float, clip: float | None
    ) -> "NoTower":
        return cls(hole, image_size)

    def forward(self, x: Tensor, everywhere: bool = False) -> Tensor:
        return x.new_zeros(x.shape[0], 0, *self.hole[2:])


TOWERS: dict[str, type[BorderTower]] = {"unet": UNetTower, "ift6266": Ift6266Tower, "none": NoTower}
