"""One way through the house: border tower, causal stack and caption map -> two 1x1 layers -> likelihood -> nats, or a
sample.

`Inpainter` is the public face of every decoder. The tower turns the border into features at the hole's pixels, the
causal stack adds what the center's pixels so far tell, the caption encoder's map joins them as one more channel of the
last 1x1 layers, and the likelihood reads what comes out. The decoder `contour` has no causal stack: given the border
and the caption its center pixels are independent, so one pass gives the mean and a sample.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from models import captions as caption_text
from models.drawing import How, check_temperature
from models.likelihoods import Likelihood
from models.net import Caption, Net
from models.scales import Finer
from models.stack import Hole
from models.window import Region, crop


class Inpainter(nn.Module):
    """An exact probability of every possible center of the hole, given the border and a caption.

    Attributes:
      decoder, likelihood_name: names as `build` takes them.
      net: all that comes between pixels and params.
      image_size, hole: pixels; the hole is [top, left, height, width].
      uses_captions: whether captions reach the output at all.
      config: the keyword arguments that `build` would make the same network from.
    """

    def __init__(
        self, net: Net | Finer, likelihood: Likelihood, encoder: caption_text.CaptionEncoder | None, config: dict
    ):
        super().__init__()
        self.net, self.likelihood = net, likelihood
        self.caption_encoder = encoder
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
        return self.net.order(*self.hole[2:])

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
        params = self.params(border, captions, center, known=known)
        with torch.autocast(border.device.type, enabled=False):
            return self.likelihood.log_prob(params, center)

    forward = log_prob  # what DistributedDataParallel and torch.compile call

    def params(
        self,
        border: Tensor,
        captions: list[str] | None = None,
        center: Tensor | None = None,
        *,
        known: Tensor | None = None,
        everywhere: bool = False,
    ) -> Tensor:
        """The likelihood's params, float32 (B, P, h, w); `everywhere` runs the tower on all of the image.

        All but `contour` need the center: the params of a pixel are made of those before it.

        Raises: ValueError where it is missing, or as `log_prob`.
        """
        x, caption = self.inputs(border, captions, known)
        own = None
        if center is not None:
            own = self.likelihood.rounded(center).float() / 127.5 - 1  # (B, 3, h, w)
        elif not self.net.one_pass:
            raise ValueError(f"the params of decoder {self.decoder} depend on the center, and there is none")
        return self.net.params(x, caption, own, everywhere)

    def sample(
        self,
        border: Tensor,
        captions: list[str] | None = None,
        *,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        temperature: float = 1.0,
        cached: bool = True,
        dtype: torch.dtype = torch.float64,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> Tensor:
        """Centers drawn from the model, uint8 (B, 3, h, w).

        `contour` draws all pixels from one pass, so `cached` changes nothing. For `bernoulli` on more than two levels
        the sample is the mean.

        Args:
          border, captions: as in `log_prob`.
          generator: where the uniform numbers come from, on any device; None for torch's own. Several share the batch
            equally, and each share is drawn as it would be alone.
          temperature: at least 0.001; scales logits and widths, 1 for the model's own distribution.
          cached: whether a causal stack keeps what it has computed; False runs the whole model for each sub-pixel.
          dtype: in which a causal stack runs. In float64 cached or not draws the same; float32 is faster, and the two
            differ where a value lies within a millionth of a level's edge.
          progress: wraps the rows that a causal stack draws, for a bar.

        Raises: ValueError for a temperature out of range, generators that cannot share the batch, or as `log_prob`.
        """
        how = How(temperature, cached, scored=False, dtype=dtype, progress=progress)
        return self._sample(border, captions, generator, how)[0]

    def sample_with_log_prob(
        self,
        border: Tensor,
        captions: list[str] | None = None,
        *,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        **options,
    ) -> tuple[Tensor, Tensor]:
        """As `sample`, with its options, and nats of each sub-pixel as the sampler found them: what `log_prob` gives.

        Returns: uint8 and float32 (B, 3, h, w).
        """
        return self._sample(border, captions, generator, How(**options, scored=True))

    def _sample(self, border, captions, generator, how: How):
        check_temperature(how.temperature)
        with torch.inference_mode():  # a tenth faster than no_grad, where there are so many small steps
            drawn = self._drawn(border, captions, generator, how)
        return tuple(part if part is None else part.clone() for part in drawn)  # tensors as any other

    def _drawn(self, border, captions, generator, how: How):
        _, _, h, w = self.hole
        generators = generator if isinstance(generator, Sequence) else [generator]
        share, rest = divmod(border.shape[0], len(generators))
        if rest:
            raise ValueError(f"{len(generators)} generators cannot share {border.shape[0]} borders equally")
        shape = (share, self.likelihood.uniforms_per_pixel, h, w)
        uniforms = [torch.rand(shape, generator=g, device=g.device if g else border.device) for g in generators]
        noise = self.likelihood.noise(torch.cat([part.to(border.device) for part in uniforms]))
        shares = [slice(k * share, (k + 1) * share) for k in range(len(generators))]
        x, captions_of = zip(*(self.inputs(border[s], captions and captions[s]) for s in shares), strict=True)
        return self.net.draw(torch.cat(x), Caption.joined(captions_of), noise, how._replace(shares=len(shares)))

    @torch.no_grad()
    def mean(self, border: Tensor, captions: list[str] | None = None) -> Tensor | None:
        """The expected center, float32 (B, 3, h, w) in 0..255, where one pass gives it; None elsewhere."""
        return self.likelihood.mean(self.params(border, captions)) if self.net.one_pass else None

    def inputs(self, border: Tensor, captions: list[str] | None, known: Tensor | None = None) -> tuple[Tensor, Caption]:
        """What the net reads, of arguments as `log_prob` takes them: x float32 (B, 4, H, W), and the captions."""
        self._check("border", border, (border.shape[0], 3, self.image_size, self.image_size))
        if captions is None:
            captions = [""] * border.shape[0]
        if len(captions) != border.shape[0]:
            raise ValueError(f"{len(captions)} captions for {border.shape[0]} borders")
        return self._masked(border, known), self._caption(captions, border.device)

    def _masked(self, border: Tensor, known: Tensor | None) -> Tensor:
        """Intensities in -1..1, zero where unknown, and the mask of what is known: float32 (B, 4, H, W)."""
        top, left, h, w = self.hole
        mask = torch.ones(1, 1, self.image_size, self.image_size, device=border.device)
        mask[:, :, top : top + h, left : left + w] = 0
        if known is not None:
            mask = mask * known  # (B, 1, H, W)
        x = (border.float() / 127.5 - 1) * mask  # (B, 3, H, W)
        x = torch.cat([x, mask.expand(border.shape[0], -1, -1, -1)], dim=1)  # (B, 4, H, W)
        return x.to(memory_format=torch.channels_last)

    def _caption(self, captions: list[str], device: torch.device) -> Caption:
        """float32; nothing for a model without captions."""
        if self.caption_encoder is None:
            return Caption(None, None)
        with torch.autocast(device.type, enabled=False):
            return self.caption_of(self.caption_encoder.summary(caption_text.encode(captions).to(device)))

    def caption_of(self, summary: Tensor) -> Caption:
        """What the net reads of captions' summaries (B, S + FOUND)."""
        size = self.image_size
        whole = self.caption_encoder.map_of(summary[:, :size])  # (B, 1, S, S)
        at_hole = crop(whole, Region.whole(size, size), Region.of_hole(self.hole, size, size))
        return Caption(summary if self.config["caption_injection"] == "all" else None, at_hole)

    @staticmethod
    def _check(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
        if x.dtype != torch.uint8 or tuple(x.shape) != shape:
            raise ValueError(
                f"{name} must be uint8 {shape}, not {str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
            )
