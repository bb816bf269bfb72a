"""One way through the house: border tower + caption map -> two 1x1 layers -> likelihood -> nats, or a sample.

`Inpainter` is the public face of every decoder; `build` makes one by name. The tower turns the border into features at
the hole's pixels, the caption encoder's map joins them as one more channel of the last 1x1 layers, and the likelihood
reads what comes out. The decoder `contour` has no causal stack: given the border and the caption its center pixels
are independent, so one pass gives the mean and a sample.
"""

import torch
from torch import Tensor, nn

from models import captions as caption_text
from models.likelihoods import LIKELIHOODS, Likelihood
from models.towers import UNET_SIZES, Ift6266Tower, UNetTower
from models.window import Region, crop

DECODERS = ("contour",)
TOWERS = ("unet", "ift6266")
Hole = tuple[int, int, int, int]


class Head(nn.Module):
    """Two 1x1 layers and the output: features (B, C, h, w), caption map (B, 1, h, w) or None -> params (B, P, h, w)."""

    def __init__(self, channels: int, width: int, likelihood: Likelihood, with_map: bool, activation: type[nn.Module]):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels + with_map, width, 1), activation(), nn.Conv2d(width, width, 1), activation()
        )
        self.out = nn.Conv2d(width, likelihood.params_per_pixel, 1)
        for layer in (self.layers[0], self.layers[2], self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.out.bias.copy_(likelihood.initial_bias())

    def forward(self, features: Tensor, caption_map: Tensor | None) -> Tensor:
        if caption_map is not None:
            features = torch.cat([features, caption_map.to(features.dtype)], dim=1)  # (B, C + 1, h, w)
        return self.out(self.layers(features))


class Inpainter(nn.Module):
    """An exact probability of every possible center of the hole, given the border and a caption.

    Attributes:
      decoder, likelihood_name: names as `build` takes them.
      image_size, hole: pixels; the hole is [top, left, height, width].
      uses_captions: whether captions reach the output at all.
      config: the keyword arguments that `build` would make the same network from.
    """

    def __init__(
        self,
        tower: nn.Module,
        likelihood: Likelihood,
        head: Head,
        encoder: caption_text.CaptionEncoder | None,
        config: dict,
    ):
        super().__init__()
        self.tower, self.likelihood, self.head, self.caption_encoder = tower, likelihood, head, encoder
        self.config = config
        self.decoder: str = config["decoder"]
        self.likelihood_name: str = config["likelihood"]
        self.image_size: int = config["image_size"]
        self.hole: Hole = config["hole"]

    @property
    def uses_captions(self) -> bool:
        return self.caption_encoder is not None

    @property
    def order(self) -> Tensor:
        """(3, h, w) int64: the rank in which sub-pixels are drawn; those of one rank are independent given lower."""
        _, _, h, w = self.hole
        return torch.tensor(self.likelihood.channel_rank()).reshape(3, 1, 1).expand(3, h, w).clone()

    def log_prob(
        self,
        border: Tensor,
        center: Tensor,
        captions: list[str] | None = None,
        *,
        known: Tensor | None = None,
    ) -> Tensor:
        """Nats of each sub-pixel given those of lower rank, the border and the caption.

        Args:
          border: uint8 (B, 3, H, W), the hole zeroed (its contents are ignored in any case).
          center: uint8 (B, 3, h, w).
          captions: B strings, "" for none; None for none at all.
          known: bool (B, 1, H, W), the border pixels that may be seen; None for all of them. Training's shifts use it.

        Returns: float32 (B, 3, h, w), all <= 0. For `bernoulli` the negated cross-entropy of intensities.
        Raises: ValueError for a wrong shape, dtype or number of captions.
        """
        self._check("center", center, (border.shape[0], 3, *self.hole[2:]))
        params = self.params(border, captions, known=known)
        with torch.autocast(border.device.type, enabled=False):
            return self.likelihood.log_prob(params, center)

    forward = log_prob  # what DistributedDataParallel and torch.compile call

    def params(
        self,
        border: Tensor,
        captions: list[str] | None = None,
        *,
        known: Tensor | None = None,
        everywhere: bool = False,
    ) -> Tensor:
        """The likelihood's params, float32 (B, P, h, w); `everywhere` runs the tower on all of the image."""
        self._check("border", border, (border.shape[0], 3, self.image_size, self.image_size))
        if captions is None:
            captions = [""] * border.shape[0]
        if len(captions) != border.shape[0]:
            raise ValueError(f"{len(captions)} captions for {border.shape[0]} borders")
        x = self._tower_input(border, known)  # (B, 3 or 4, H, W)
        features = self.tower(x, everywhere=everywhere)  # (B, C, h, w)
        return self.head(features, self._caption_map(captions, border.device)).float()  # (B, P, h, w)

    @torch.no_grad()
    def sample(
        self,
        border: Tensor,
        captions: list[str] | None = None,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        cached: bool = True,
    ) -> Tensor:
        """Centers drawn from the model, uint8 (B, 3, h, w).

        `contour` draws all pixels from one pass, so `cached` changes nothing. For `bernoulli` the sample is the mean.

        Args:
          border, captions: as in `log_prob`.
          generator: where the uniform numbers come from, on any device; None for torch's own.
          temperature: > 0; scales logits and widths, 1 for the model's own distribution.

        Raises: ValueError for a temperature that is not positive, or as `log_prob`.
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature}")
        params = self.params(border, captions)
        _, _, h, w = self.hole
        device = generator.device if generator is not None else border.device
        shape = (border.shape[0], self.likelihood.uniforms_per_pixel, h, w)
        uniforms = torch.rand(shape, generator=generator, device=device).to(border.device)
        return self.likelihood.sample(params, uniforms, temperature)

    @torch.no_grad()
    def mean(self, border: Tensor, captions: list[str] | None = None) -> Tensor | None:
        """The expected center, float32 (B, 3, h, w) in 0..255, where one pass gives it; None elsewhere."""
        return self.likelihood.mean(self.params(border, captions))

    def _tower_input(self, border: Tensor, known: Tensor | None) -> Tensor:
        """Intensities and mask plane: float32 (B, 3 or 4, H, W), zero where unknown."""
        top, left, h, w = self.hole
        mask = torch.ones(1, 1, self.image_size, self.image_size, device=border.device)
        mask[:, :, top : top + h, left : left + w] = 0
        if known is not None:
            mask = mask * known  # (B, 1, H, W)
        if not self.tower.uses_mask:
            return border.float() / 255 * mask
        x = (border.float() / 127.5 - 1) * mask  # (B, 3, H, W)
        x = torch.cat([x, mask.expand(border.shape[0], -1, -1, -1)], dim=1)  # (B, 4, H, W)
        return x.to(memory_format=torch.channels_last)

    def _caption_map(self, captions: list[str], device: torch.device) -> Tensor | None:
        """(B, 1, h, w) float32, the map cropped to the hole; None for a model without captions."""
        if self.caption_encoder is None:
            return None
        with torch.autocast(device.type, enabled=False):
            full = self.caption_encoder(caption_text.encode(captions).to(device))  # (B, 1, S, S)
        return crop(
            full,
            Region.whole(self.image_size, self.image_size),
            Region.of_hole(self.hole, self.image_size, self.image_size),
        )

    @staticmethod
    def _check(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
        if x.dtype != torch.uint8 or tuple(x.shape) != shape:
            raise ValueError(
                f"{name} must be uint8 {shape}, not {str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
            )


def build(
    decoder: str = "contour",
    likelihood: str = "bernoulli",
    size: str = "s",
    image_size: int = 64,
    hole: Hole = (16, 16, 32, 32),
    *,
    use_captions: bool = True,
    tower: str = "unet",
    dropout: float = 0.1,
) -> Inpainter:
    """A fresh model.

    Args:
      decoder: one of DECODERS.
      likelihood: one of LIKELIHOODS.
      size: xs, s, m or l; the tower's width and depth.
      image_size: of the square image, pixels.
      hole: [top, left, height, width], inside the image.
      use_captions: whether the caption encoder is there.
      tower: `unet`, or `ift6266` for the 2017 net (one size, no dropout, a head of 32 channels).
      dropout: rate of the tower's channel dropout, 0 <= rate < 1.

    Raises: ValueError naming the argument that is out of range.
    """
    hole = tuple(int(value) for value in hole)
    choices = {"decoder": DECODERS, "likelihood": LIKELIHOODS, "size": UNET_SIZES, "tower": TOWERS}
    for name, value in (("decoder", decoder), ("likelihood", likelihood), ("size", size), ("tower", tower)):
        if value not in choices[name]:
            raise ValueError(f"{name} must be one of {', '.join(choices[name])}, not {value!r}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), not {dropout}")
    top, left, h, w = hole
    if top < 0 or left < 0 or h < 1 or w < 1 or top + h > image_size or left + w > image_size:
        raise ValueError(f"hole {list(hole)} does not lie in a {image_size} x {image_size} image")
    distribution = LIKELIHOODS[likelihood]()
    if tower == "ift6266":
        body = Ift6266Tower(hole, image_size)
        head = Head(body.out_channels, 32, distribution, use_captions, nn.ReLU)
    else:
        body = UNetTower(hole, image_size, size, dropout=dropout)
        head = Head(body.out_channels, max(64, 2 * body.out_channels), distribution, use_captions, nn.SiLU)
    encoder = caption_text.CaptionEncoder(image_size, xavier=tower == "ift6266") if use_captions else None
    config = {
        "decoder": decoder,
        "likelihood": likelihood,
        "size": size,
        "image_size": image_size,
        "hole": hole,
        "use_captions": use_captions,
        "tower": tower,
        "dropout": dropout,
    }
    return Inpainter(body, distribution, head, encoder, config).to(memory_format=torch.channels_last)
